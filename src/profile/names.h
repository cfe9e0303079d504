// What a person calls a C++ function, cut out of the demangled text.
//
// 1. The name keeps its scopes, template arguments and lambda numbers; return type, trailing parameters, qualifiers and clone suffixes go:
//    "bool stray::recv<int>(stray::chan<int>&) [clone .isra.0]" is "stray::recv<int>". A type that merely takes part never decides.
// 2. Both cuts are idempotent, so a name that is already short passes unchanged.
// 3. All of it is linear in the length of the text, and the text in that of the symbol up to a limit (expansion.h).
// Rejected: the mangled name (`_ZN5stray` prefixes): functions without linkage name (clang's and LTO's local ones) have none.
// Runs anywhere; allocates.
#pragma once

#include <string>
#include <string_view>

namespace stray::profile {

// The demangled text, or the symbol itself when it is not a mangled name. Of one that the C++ library cannot read (constraints, as newer compilers
// write them), or whose text could be longer than 2 MB, the scopes and the name: "stray::wait_group::go<...>".
std::string demangle(const char* symbol);
// A name of more than 4 KB without its middle: "std::pair<std::pair<int, i...air<int, int> >". What is shown is no longer.
std::string limited(std::string_view name);
// "void a::f<int>(int) const [clone .cold]" -> "a::f<int>".
std::string_view function_name(std::string_view demangled);
// "std::function<void (int)>::operator()" -> "std::function::operator()".
std::string without_template_arguments(std::string_view name);
// The first class among the template arguments that is neither ours nor std's, looked for in the arguments of those, too:
// "stray::detail::run_small<stray::wait_group::go<f()::{lambda()#1}>(...)::{lambda()#1}>" -> "f()::{lambda()#1}". Empty: there is none.
std::string first_callable(std::string_view name);
// For lines that people read: template arguments are "...", parameters of scopes and lambdas and ABI tags go:
// "a::f<int>(long)::{lambda(int)#1}::operator()" -> "a::f<...>::{lambda#1}::operator()".
std::string short_name(std::string_view name);

}  // namespace stray::profile
