#pragma once
// UTF-8: whether bytes that claim to be text are.
//
// Thread rule: pure.

#include <string_view>

namespace sluice {

// True for well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
// Protocol buffers take nothing else in their string fields.
bool IsUtf8(std::string_view bytes);

}  // namespace sluice
