#pragma once
// UTF-8: whether bytes that claim to be text are, and which characters they spell.
//
// Thread rule: pure.

#include <string_view>

namespace sluice {

// True for well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
// Protocol buffers take nothing else in their string fields.
bool IsUtf8(std::string_view bytes);

// Takes the first character off `bytes`, which must not be empty. A byte that begins no well-formed
// character is taken by itself and gives U+FFFD.
char32_t TakeUtf8Character(std::string_view& bytes);

}  // namespace sluice
