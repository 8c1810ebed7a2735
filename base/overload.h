#pragma once
// Overload: one function object of several lambdas, to visit a variant with.
//
//   std::visit(Overload{[](int) { return "number"; }, [](const std::string&) { return "text"; }},
//              value);
//
// Thread rule: as its lambdas'.

namespace sluice {

template <typename... Functions>
struct Overload : Functions... {
  using Functions::operator()...;
};
template <typename... Functions>
Overload(Functions...) -> Overload<Functions...>;

}  // namespace sluice
