#include "kafka/wire_reader.h"

#include "kafka/string_limit.h"

namespace sluice::kafka {

Status WireReader::StatusOf(std::string_view message, int16_t version) const {
  if (ok()) return Status::Ok();
  return Status::InvalidArgument("malformed " + std::string(message) + " v" +
                                 std::to_string(version) + " in " + std::to_string(data_.size()) +
                                 " bytes");
}

Uuid WireReader::ReadUuid() {
  const std::string_view bytes = bytes_.ReadBytes(16);
  return bytes.empty() ? Uuid() : Uuid::FromBytes(bytes);
}

// Compact lengths are one more than the length, so that 0 can say null.
int64_t WireReader::ReadStringSize(bool compact) {
  const int64_t size = compact ? int64_t{bytes_.ReadUnsignedVarint()} - 1 : bytes_.ReadInt16();
  if (size > static_cast<int64_t>(kStringBytesMax)) Fail();
  return size;
}

int64_t WireReader::ReadBytesSize(bool compact) {
  return compact ? int64_t{bytes_.ReadUnsignedVarint()} - 1 : bytes_.ReadInt32();
}

std::optional<std::string_view> WireReader::ReadSized(int64_t size, bool nullable) {
  if (size >= 0) return bytes_.ReadBytes(static_cast<size_t>(size));
  if (size != -1 || !nullable) Fail();
  return std::nullopt;
}

std::string WireReader::ReadString(bool compact) {
  return std::string(ReadSized(ReadStringSize(compact), false).value_or(""));
}

std::optional<std::string> WireReader::ReadNullableString(bool compact, bool nullable) {
  const auto view = ReadSized(ReadStringSize(compact), nullable);
  return view.has_value() ? std::optional<std::string>(*view) : std::nullopt;
}

std::string WireReader::ReadBytes(bool compact) {
  return std::string(ReadSized(ReadBytesSize(compact), false).value_or(""));
}

std::optional<std::string> WireReader::ReadNullableBytes(bool compact, bool nullable) {
  const auto view = ReadSized(ReadBytesSize(compact), nullable);
  return view.has_value() ? std::optional<std::string>(*view) : std::nullopt;
}

Records WireReader::ReadRecords(bool compact, bool nullable) {
  const auto view = ReadSized(ReadBytesSize(compact), nullable);
  return view.has_value() ? Records::View(SharedBytes{owner_, *view}) : Records();
}

bool WireReader::ReadPresence(bool nullable) {
  const bool present = bytes_.ReadInt8() >= 0;
  if (!present && !nullable) Fail();
  return present && ok();
}

int32_t WireReader::ReadCount(bool compact, bool nullable, size_t wire_bytes_min,
                              size_t memory_bytes) {
  const int64_t raw = compact ? int64_t{bytes_.ReadUnsignedVarint()} - 1 : bytes_.ReadInt32();
  const int32_t count = bytes_.CheckedCount(raw, wire_bytes_min);
  if (count < 0 && !nullable) Fail();
  if (count > 0 && !ChargeMemory(static_cast<size_t>(count) * memory_bytes)) return 0;
  return ok() ? count : 0;
}

bool WireReader::ChargeMemory(size_t bytes) {
  if (bytes > memory_left_) {
    Fail();
    return false;
  }
  memory_left_ -= bytes;
  return true;
}

void WireReader::ReadUnknownTaggedFields(std::vector<RawTaggedField>* unknown) {
  for (TaggedFieldReader tags(*this, unknown); tags.Next();) tags.KeepUnknown();
}

TaggedFieldReader::TaggedFieldReader(WireReader& reader, std::vector<RawTaggedField>* unknown)
    : reader_(reader), unknown_(unknown), left_(reader.ReadUnsignedVarint()) {
  if (left_ > WireReader::kTaggedFieldsMax) reader_.Fail();
}

bool TaggedFieldReader::Next() {
  FinishPayload();
  if (left_ == 0 || !reader_.ok()) return false;
  --left_;
  tag_ = reader_.ReadUnsignedVarint();
  const uint32_t size = reader_.ReadUnsignedVarint();
  const std::string_view bytes = reader_.bytes_.ReadBytes(size);
  if (!reader_.ok()) return false;
  payload_.emplace(bytes, reader_.owner_);
  // One budget for the whole message: a nested reader must not bring its own floor.
  payload_->memory_left_ = reader_.memory_left_;
  return true;
}

void TaggedFieldReader::KeepUnknown() {
  const std::string_view bytes = payload_->data_;
  payload_.reset();
  if (!reader_.ChargeMemory(sizeof(RawTaggedField))) return;
  unknown_->push_back({tag_, std::string(bytes)});
}

void TaggedFieldReader::FinishPayload() {
  if (!payload_.has_value()) return;
  if (!payload_->ok() || payload_->remaining() != 0) reader_.Fail();
  reader_.memory_left_ = payload_->memory_left_;
  payload_.reset();
}

Status UnsupportedMessageVersion(std::string_view message, int16_t version) {
  return Status::Unsupported(std::string(message) + " has no version " + std::to_string(version));
}

}  // namespace sluice::kafka
