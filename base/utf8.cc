#include "base/utf8.h"

#include <cstddef>
#include <cstdint>

namespace sluice {

namespace {

// A form of a character: its leading byte is in [lead_min, lead_max], its second in [second_min,
// second_max], and any others are 80..BF. The narrower second bytes shut out what RFC 3629 forbids.
struct Form {
  uint8_t lead_min, lead_max;
  uint8_t second_min, second_max;
  uint8_t size;
};

constexpr Form kForms[] = {
    {0xC2, 0xDF, 0x80, 0xBF, 2},  // from U+0080: C0 and C1 could only begin overlong forms
    {0xE0, 0xE0, 0xA0, 0xBF, 3},  // from U+0800
    {0xE1, 0xEC, 0x80, 0xBF, 3},  //
    {0xED, 0xED, 0x80, 0x9F, 3},  // below the surrogates
    {0xEE, 0xEF, 0x80, 0xBF, 3},  //
    {0xF0, 0xF0, 0x90, 0xBF, 4},  // from U+10000
    {0xF1, 0xF3, 0x80, 0xBF, 4},  //
    {0xF4, 0xF4, 0x80, 0x8F, 4},  // up to U+10FFFF
};

const Form* FindForm(uint8_t lead) {
  for (const Form& form : kForms) {
    if (form.lead_min <= lead && lead <= form.lead_max) return &form;
  }
  return nullptr;
}

bool Fits(const Form& form, std::string_view bytes) {
  if (bytes.size() < form.size) return false;
  const auto second = static_cast<uint8_t>(bytes[1]);
  if (second < form.second_min || second > form.second_max) return false;
  for (size_t i = 2; i < form.size; ++i) {
    if ((static_cast<uint8_t>(bytes[i]) & 0xC0) != 0x80) return false;
  }
  return true;
}

}  // namespace

bool IsUtf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto lead = static_cast<uint8_t>(bytes.front());
    if (lead < 0x80) {
      bytes.remove_prefix(1);
      continue;
    }
    const Form* form = FindForm(lead);
    if (form == nullptr || !Fits(*form, bytes)) return false;
    bytes.remove_prefix(form->size);
  }
  return true;
}

char32_t TakeUtf8Character(std::string_view& bytes) {
  const auto lead = static_cast<uint8_t>(bytes.front());
  const Form* form = FindForm(lead);
  if (form == nullptr || !Fits(*form, bytes)) {
    bytes.remove_prefix(1);
    return lead < 0x80 ? lead : U'\uFFFD';
  }
  char32_t character = lead & (0x7F >> form->size);
  for (size_t i = 1; i < form->size; ++i) {
    character = character << 6 | (static_cast<uint8_t>(bytes[i]) & 0x3F);
  }
  bytes.remove_prefix(form->size);
  return character;
}

}  // namespace sluice
