#pragma once
// Uuid: 128 bits, printed as Kafka prints them (22 characters of URL-safe base64, no padding). The
// all-zero value means "none", as on the wire.
//
// Thread rule: values.

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/status.h"

namespace sluice {

class Uuid {
 public:
  constexpr Uuid() = default;
  // 16 bytes, most significant first.
  static Uuid FromBytes(std::string_view sixteen_bytes);
  static Result<Uuid> Parse(std::string_view base64);
  // A version 4 uuid whose text does not start with '-': Kafka refuses those, for they look like
  // command-line flags.
  static Uuid Generate(Random& random);

  bool IsZero() const { return *this == Uuid(); }
  const std::array<uint8_t, 16>& bytes() const { return bytes_; }
  std::string_view view() const {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }
  std::string ToString() const;

  friend auto operator<=>(const Uuid&, const Uuid&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Uuid& id) {
    return out << id.ToString();
  }

 private:
  std::array<uint8_t, 16> bytes_{};
};

using TopicId = Uuid;

}  // namespace sluice

template <>
struct std::hash<sluice::Uuid> {
  size_t operator()(const sluice::Uuid& id) const {
    return std::hash<std::string_view>()(id.view());
  }
};
