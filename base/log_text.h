#pragma once
// LogText: text from elsewhere as a part of a line in the log. A client names itself as it likes,
// and might otherwise write lines of its own, or very long ones.
//
// Thread rule: pure.

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice {

// At most `bytes_max` bytes of it, printable ASCII only: question marks stand for other bytes, dots
// for what was left out. That is UTF-8 too, which strings of protocol buffers must be.
inline std::string LogText(std::string_view text, size_t bytes_max) {
  std::string shown(text.substr(0, bytes_max));
  for (char& c : shown) {
    if (c < ' ' || c > '~') c = '?';
  }
  return text.size() > bytes_max ? shown + "..." : shown;
}

}  // namespace sluice
