// A switch of stacks as fiber libraries have it, without call frame information: nobody can follow it.
#pragma once

// Callee-saved registers go onto the stack that is left, its address to *save; the stack at `to` was left in the same way.
extern "C" void stack_switch(void** save, void* to);
asm(R"(
.text
.weak stack_switch
.type stack_switch,@function
stack_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size stack_switch,.-stack_switch
)");
