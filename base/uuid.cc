#include "base/uuid.h"

#include <cstring>

namespace sluice {

namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr size_t kTextSize = 22;

}  // namespace

Uuid Uuid::FromBytes(std::string_view sixteen_bytes) {
  CHECK_EQ(sixteen_bytes.size(), 16U);
  Uuid id;
  std::memcpy(id.bytes_.data(), sixteen_bytes.data(), 16);
  return id;
}

Result<Uuid> Uuid::Parse(std::string_view base64) {
  const std::string quoted = "'" + std::string(base64) + "'";
  if (base64.size() != kTextSize) {
    return Status::InvalidArgument("uuid " + quoted + " has " + std::to_string(base64.size()) +
                                   " characters; a uuid is 22 characters of URL-safe base64");
  }
  Uuid id;
  uint32_t bits = 0;
  int bit_count = 0;
  size_t filled = 0;
  for (char c : base64) {
    const size_t digit = kAlphabet.find(c);
    if (digit == std::string_view::npos) {
      return Status::InvalidArgument("uuid " + quoted +
                                     " holds a character outside A-Z a-z 0-9 - _");
    }
    bits = (bits << 6) | static_cast<uint32_t>(digit);
    bit_count += 6;
    if (bit_count >= 8 && filled < id.bytes_.size()) {
      bit_count -= 8;
      id.bytes_[filled++] = static_cast<uint8_t>(bits >> bit_count);
    }
  }
  return id;
}

Uuid Uuid::Generate(Random& random) {
  while (true) {
    const uint64_t words[2] = {random.Next(), random.Next()};
    Uuid id;
    std::memcpy(id.bytes_.data(), words, sizeof words);
    id.bytes_[6] = (id.bytes_[6] & 0x0F) | 0x40;
    id.bytes_[8] = (id.bytes_[8] & 0x3F) | 0x80;
    if (id.ToString().front() != '-') return id;
  }
}

std::string Uuid::ToString() const {
  std::string text;
  text.reserve(kTextSize);
  uint32_t bits = 0;
  int bit_count = 0;
  for (uint8_t byte : bytes_) {
    bits = (bits << 8) | byte;
    bit_count += 8;
    while (bit_count >= 6) {
      bit_count -= 6;
      text += kAlphabet[(bits >> bit_count) & 63];
    }
  }
  text += kAlphabet[(bits << (6 - bit_count)) & 63];
  return text;
}

}  // namespace sluice
