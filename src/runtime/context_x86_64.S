// See context.h. The layout of the pushes is struct saved_frame. The entry carries its C++ name: stray::runtime::goroutine_entry().
    .text

    .globl stray_switch_context
    .hidden stray_switch_context
    .type stray_switch_context, @function
    .p2align 4
stray_switch_context:
    .cfi_startproc
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbp, 0
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    pushq %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r12, 0
    pushq %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r13, 0
    pushq %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r14, 0
    pushq %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r15, 0
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r15
    popq %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r14
    popq %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r13
    popq %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r12
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    popq %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbp
    // What the caller need not keep is nobody's now (context.h 4).
    xorl %ecx, %ecx
    xorl %edx, %edx
    xorl %r8d, %r8d
    xorl %r9d, %r9d
    xorl %r10d, %r10d
    xorl %r11d, %r11d
    cmpb $1, stray_vectors(%rip)
    jb 1f
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vpxor %xmm\n, %xmm\n, %xmm\n
    .endr
    je 2f
    .irp n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    vpxord %xmm\n, %xmm\n, %xmm\n
    .endr
2:  ret
1:
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    pxor %xmm\n, %xmm\n
    .endr
    ret
    .cfi_endproc
    .size stray_switch_context, . - stray_switch_context

// Which vector registers there are: 0 xmm0-15, 1 ymm0-15, 2 zmm0-31. Written once, before the first goroutine.
    .bss
    .globl stray_vectors
    .hidden stray_vectors
    .type stray_vectors, @object
    .size stray_vectors, 1
stray_vectors:
    .byte 0
    .text

    .globl stray_capture_context
    .hidden stray_capture_context
    .type stray_capture_context, @function
    .p2align 4
stray_capture_context:
    .cfi_startproc
    movq %r15, 0(%rdi)
    movq %r14, 8(%rdi)
    movq %r13, 16(%rdi)
    movq %r12, 24(%rdi)
    movq %rbx, 32(%rdi)
    movq %rbp, 40(%rdi)
    movq (%rsp), %rax
    movq %rax, 48(%rdi)
    leaq 8(%rsp), %rax
    movq %rax, (%rsi)
    ret
    .cfi_endproc
    .size stray_capture_context, . - stray_capture_context

// The caller of both, to an unwinder, is the frame that saved_frame at CFA - 56 describes.
    .macro caller_is_saved_frame
    .cfi_offset %rip, -8
    .cfi_offset %rbp, -16
    .cfi_offset %rbx, -24
    .cfi_offset %r12, -32
    .cfi_offset %r13, -40
    .cfi_offset %r14, -48
    .cfi_offset %r15, -56
    .endm

    .globl stray_call_above
    .hidden stray_call_above
    .type stray_call_above, @function
    .p2align 4
stray_call_above:
    .cfi_startproc
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    movq %rdi, %rbx
    movq %rdx, %rdi
    .cfi_remember_state
    .cfi_def_cfa %rbx, 56
    caller_is_saved_frame
    call *%rsi
    nop
    .cfi_restore_state
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    ret
    .cfi_endproc
    .size stray_call_above, . - stray_call_above

    .globl stray_diverted
    .hidden stray_diverted
    .hidden stray_diverted_main
    .type stray_diverted, @function
    .p2align 4
    nop
stray_diverted:
    .cfi_startproc
    .cfi_def_cfa %rsp, 56
    caller_is_saved_frame
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    movq %rbx, %rdi
    movq %r12, %rsi
    call stray_diverted_main
    ud2
    .cfi_endproc
    .size stray_diverted, . - stray_diverted

    .globl _ZN5stray7runtime15goroutine_entryEv
    .hidden _ZN5stray7runtime15goroutine_entryEv
    .hidden _ZN5stray7runtime14goroutine_mainEPNS0_4taskE
    .type _ZN5stray7runtime15goroutine_entryEv, @function
    .p2align 4
    nop
_ZN5stray7runtime15goroutine_entryEv:
    .cfi_startproc
    .cfi_undefined %rip
    xorl %ebp, %ebp
1:  pxor %xmm0, %xmm0
    leaq -2048(%rsp), %rcx
2:  movaps %xmm0, (%rcx)
    movaps %xmm0, 16(%rcx)
    movaps %xmm0, 32(%rcx)
    movaps %xmm0, 48(%rcx)
    addq $64, %rcx
    cmpq %rsp, %rcx
    jne 2b
    movq %rbx, %rdi
    call _ZN5stray7runtime14goroutine_mainEPNS0_4taskE
    movq %rax, %rbx
    jmp 1b
    .cfi_endproc
    .globl stray_entry_end
    .hidden stray_entry_end
stray_entry_end:
    .size _ZN5stray7runtime15goroutine_entryEv, . - _ZN5stray7runtime15goroutine_entryEv

    .section .note.GNU-stack, "", @progbits
