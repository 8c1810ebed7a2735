#include "kafka/compression.h"

#include <lz4frame.h>
#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <memory>

#include "base/bytes.h"

namespace sluice::kafka {
namespace {

constexpr std::array<std::string_view, 5> kNames{"none", "gzip", "snappy", "lz4", "zstd"};

// Snappy's block framing, known by the library that brought it to Java as "xerial": magic, version,
// lowest compatible version, then blocks of int32 length and raw snappy.
constexpr std::string_view kSnappyMagic("\x82SNAPPY\0", 8);
constexpr size_t kSnappyHeaderBytes = 16;
constexpr size_t kSnappyBlockBytes = 32 * 1024;
// A snappy copy of 64 bytes takes three, so nothing honest grows by more.
constexpr size_t kSnappyRatioMax = 22;

Status Damaged(Codec codec, std::string_view why) {
  return Status::Corruption(std::string(CodecName(codec)) +
                            " data is damaged: " + std::string(why));
}

Status TooLarge(size_t limit) {
  return Status::ResourceExhausted("decompressed data exceed " + std::to_string(limit) + " bytes");
}

// The output of a streaming decoder: grows by doubling from a size that the input suggests, never
// beyond the limit.
class BoundedOutput {
 public:
  BoundedOutput(size_t input_bytes, size_t limit) : limit_(limit) {
    const size_t guess = std::max<size_t>(1024, input_bytes * 4);
    data_.resize(std::min(guess, limit));
  }

  char* free_start() { return data_.data() + used_; }
  size_t free_bytes() const { return data_.size() - used_; }
  void Used(size_t bytes) { used_ += bytes; }
  // Makes room when there is none. False at the limit.
  bool Grow() {
    if (free_bytes() > 0) return true;
    if (data_.size() >= limit_) return false;
    data_.resize(std::min(limit_, data_.size() * 2));
    return true;
  }
  std::string Take() {
    data_.resize(used_);
    return std::move(data_);
  }

 private:
  size_t limit_;
  size_t used_ = 0;
  std::string data_;
};

// What a decoder says after one step.
enum class Step { kMore, kStreamEnd, kDamaged };

// Runs `step(in, in_left, out, out_left)`, which consumes and produces by moving its arguments,
// until the input is used up at the end of a stream. Streams may follow each other, as all three
// formats allow.
template <typename StepFunction>
Result<std::string> DecodeStreams(Codec codec, std::string_view data, size_t limit,
                                  StepFunction step) {
  if (data.empty()) return Damaged(codec, "it is empty");
  BoundedOutput output(data.size(), limit);
  char past_limit =
      0;  // a byte that must stay unwritten: tells "exactly at the limit" from "more to come"
  while (true) {
    const bool has_room = output.Grow();
    char* out = has_room ? output.free_start() : &past_limit;
    size_t out_left = has_room ? output.free_bytes() : 1;
    const size_t in_before = data.size();
    const size_t out_before = out_left;
    const Step result = step(data, out, out_left);
    if (result == Step::kDamaged) return Damaged(codec, "the decoder refuses it");
    const size_t produced = out_before - out_left;
    if (!has_room && produced > 0) return TooLarge(limit);
    if (has_room) output.Used(produced);
    if (result == Step::kStreamEnd && data.empty()) return output.Take();
    if (produced == 0 && data.size() == in_before) return Damaged(codec, "it is cut short");
  }
}

Result<std::string> Gunzip(std::string_view data, size_t limit) {
  constexpr int kGzipWindow = 16 + MAX_WBITS;
  z_stream stream{};
  if (inflateInit2(&stream, kGzipWindow) != Z_OK) return Status::Internal("inflateInit2 failed");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> guard(&stream, inflateEnd);
  return DecodeStreams(Codec::kGzip, data, limit,
                       [&](std::string_view& in, char* out, size_t& out_left) {
                         constexpr size_t kPiece = std::numeric_limits<uInt>::max();
                         const auto in_piece = static_cast<uInt>(std::min(in.size(), kPiece));
                         const auto out_piece = static_cast<uInt>(std::min(out_left, kPiece));
                         stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
                         stream.avail_in = in_piece;
                         stream.next_out = reinterpret_cast<Bytef*>(out);
                         stream.avail_out = out_piece;
                         const int code = inflate(&stream, Z_NO_FLUSH);
                         in.remove_prefix(in_piece - stream.avail_in);
                         out_left -= out_piece - stream.avail_out;
                         if (code == Z_STREAM_END) {
                           return inflateReset(&stream) == Z_OK ? Step::kStreamEnd : Step::kDamaged;
                         }
                         return code == Z_OK || code == Z_BUF_ERROR ? Step::kMore : Step::kDamaged;
                       });
}

Result<std::string> Gzip(int level, std::string_view data) {
  constexpr int kGzipWindow = 16 + MAX_WBITS;
  constexpr int kMemoryLevel = 8;
  level = level == kDefaultCompressionLevel ? Z_DEFAULT_COMPRESSION : std::clamp(level, 1, 9);
  if (data.size() > std::numeric_limits<uInt>::max()) {
    return Status::InvalidArgument("more than 4 GiB to compress");
  }
  z_stream stream{};
  if (deflateInit2(&stream, level, Z_DEFLATED, kGzipWindow, kMemoryLevel, Z_DEFAULT_STRATEGY) !=
      Z_OK) {
    return Status::Internal("deflateInit2 failed");
  }
  const std::unique_ptr<z_stream, int (*)(z_stream*)> guard(&stream, deflateEnd);
  std::string packed(deflateBound(&stream, data.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) return Status::Internal("deflate failed");
  packed.resize(packed.size() - stream.avail_out);
  return packed;
}

// Appends one raw snappy block to `out`.
Status UnsnapBlock(std::string_view block, size_t limit, std::string& out) {
  size_t size = 0;
  if (!snappy::GetUncompressedLength(block.data(), block.size(), &size)) {
    return Damaged(Codec::kSnappy, "no length");
  }
  if (size > block.size() * kSnappyRatioMax) return Damaged(Codec::kSnappy, "an absurd length");
  if (size > limit - out.size()) return TooLarge(limit);
  const size_t start = out.size();
  out.resize(start + size);
  if (!snappy::RawUncompress(block.data(), block.size(), out.data() + start)) {
    return Damaged(Codec::kSnappy, "the decoder refuses it");
  }
  return Status::Ok();
}

Result<std::string> Unsnap(std::string_view data, size_t limit) {
  std::string out;
  if (!data.starts_with(kSnappyMagic)) {
    SLUICE_RETURN_IF_ERROR(UnsnapBlock(data, limit, out));
    return out;
  }
  while (!data.empty()) {
    // Framed streams may follow each other, so the header may stand before any block.
    if (data.starts_with(kSnappyMagic)) {
      if (data.size() < kSnappyHeaderBytes) return Damaged(Codec::kSnappy, "it is cut short");
      data.remove_prefix(kSnappyHeaderBytes);
      continue;
    }
    if (data.size() < sizeof(int32_t)) return Damaged(Codec::kSnappy, "it is cut short");
    const auto size = LoadBigEndian<int32_t>(data.data());
    data.remove_prefix(sizeof(int32_t));
    if (size <= 0 || static_cast<size_t>(size) > data.size()) {
      return Damaged(Codec::kSnappy, "a block of impossible length");
    }
    SLUICE_RETURN_IF_ERROR(UnsnapBlock(data.substr(0, static_cast<size_t>(size)), limit, out));
    data.remove_prefix(static_cast<size_t>(size));
  }
  return out;
}

std::string Snap(std::string_view data) {
  ByteWriter writer;
  writer.PutBytes(kSnappyMagic);
  writer.PutInt32(1);
  writer.PutInt32(1);
  std::string block;
  for (; !data.empty(); data.remove_prefix(std::min(data.size(), kSnappyBlockBytes))) {
    const std::string_view piece = data.substr(0, kSnappyBlockBytes);
    snappy::Compress(piece.data(), piece.size(), &block);
    writer.PutInt32(static_cast<int32_t>(block.size()));
    writer.PutBytes(block);
  }
  return writer.Take();
}

Result<std::string> Lz4Decode(std::string_view data, size_t limit) {
  LZ4F_dctx* raw = nullptr;
  if (LZ4F_isError(LZ4F_createDecompressionContext(&raw, LZ4F_VERSION))) {
    return Status::Internal("LZ4F_createDecompressionContext failed");
  }
  const std::unique_ptr<LZ4F_dctx, LZ4F_errorCode_t (*)(LZ4F_dctx*)> context(
      raw, LZ4F_freeDecompressionContext);
  return DecodeStreams(
      Codec::kLz4, data, limit, [&](std::string_view& in, char* out, size_t& out_left) {
        size_t in_size = in.size();
        size_t out_size = out_left;
        const size_t code =
            LZ4F_decompress(context.get(), out, &out_size, in.data(), &in_size, nullptr);
        if (LZ4F_isError(code)) return Step::kDamaged;
        in.remove_prefix(in_size);
        out_left -= out_size;
        return code == 0 ? Step::kStreamEnd : Step::kMore;
      });
}

Result<std::string> Lz4Encode(int level, std::string_view data) {
  LZ4F_preferences_t preferences = LZ4F_INIT_PREFERENCES;
  // What the Java client's decoder insists on.
  preferences.frameInfo.blockSizeID = LZ4F_max64KB;
  preferences.frameInfo.blockMode = LZ4F_blockIndependent;
  if (level != kDefaultCompressionLevel) {
    preferences.compressionLevel = std::clamp(level, 1, 17);
  }
  std::string packed(LZ4F_compressFrameBound(data.size(), &preferences), '\0');
  const size_t size =
      LZ4F_compressFrame(packed.data(), packed.size(), data.data(), data.size(), &preferences);
  if (LZ4F_isError(size)) return Status::Internal(LZ4F_getErrorName(size));
  packed.resize(size);
  return packed;
}

Result<std::string> ZstdDecode(std::string_view data, size_t limit) {
  thread_local const std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(),
                                                                                ZSTD_freeDCtx);
  // A frame's declared window is memory too. The least here is what level 19 declares; the most is
  // the library's own bound.
  const int window_log = std::clamp(static_cast<int>(std::bit_width(limit)), 23, 27);
  if (context == nullptr || ZSTD_isError(ZSTD_DCtx_reset(context.get(), ZSTD_reset_session_only)) ||
      ZSTD_isError(ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, window_log))) {
    return Status::Internal("no zstd context");
  }
  return DecodeStreams(Codec::kZstd, data, limit,
                       [&](std::string_view& in, char* out, size_t& out_left) {
                         ZSTD_inBuffer input{in.data(), in.size(), 0};
                         ZSTD_outBuffer output{out, out_left, 0};
                         const size_t code = ZSTD_decompressStream(context.get(), &output, &input);
                         if (ZSTD_isError(code)) return Step::kDamaged;
                         in.remove_prefix(input.pos);
                         out_left -= output.pos;
                         return code == 0 ? Step::kStreamEnd : Step::kMore;
                       });
}

Result<std::string> ZstdEncode(int level, std::string_view data) {
  thread_local const std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> context(ZSTD_createCCtx(),
                                                                                ZSTD_freeCCtx);
  if (context == nullptr) return Status::Internal("no zstd context");
  level = level == kDefaultCompressionLevel ? ZSTD_CLEVEL_DEFAULT : std::clamp(level, -131072, 22);
  std::string packed(ZSTD_compressBound(data.size()), '\0');
  const size_t size = ZSTD_compressCCtx(context.get(), packed.data(), packed.size(), data.data(),
                                        data.size(), level);
  if (ZSTD_isError(size)) return Status::Internal(ZSTD_getErrorName(size));
  packed.resize(size);
  return packed;
}

}  // namespace

std::string_view CodecName(Codec codec) {
  return IsKnown(codec) ? kNames[static_cast<size_t>(codec)] : "unknown";
}

Result<Codec> CodecFromName(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Codec>(i);
  }
  return Status::InvalidArgument("no compression codec is named " + std::string(name) +
                                 "; there are none, gzip, snappy, lz4 and zstd");
}

Result<std::string> Compress(Codec codec, int level, std::string_view data) {
  switch (codec) {
    case Codec::kNone: return std::string(data);
    case Codec::kGzip: return Gzip(level, data);
    case Codec::kSnappy: return Snap(data);
    case Codec::kLz4: return Lz4Encode(level, data);
    case Codec::kZstd: return ZstdEncode(level, data);
  }
  return Status::InvalidArgument("unknown compression codec");
}

Result<std::string> Decompress(Codec codec, std::string_view data, size_t size_limit_bytes) {
  switch (codec) {
    case Codec::kNone:
      if (data.size() > size_limit_bytes) return TooLarge(size_limit_bytes);
      return std::string(data);
    case Codec::kGzip: return Gunzip(data, size_limit_bytes);
    case Codec::kSnappy: return Unsnap(data, size_limit_bytes);
    case Codec::kLz4: return Lz4Decode(data, size_limit_bytes);
    case Codec::kZstd: return ZstdDecode(data, size_limit_bytes);
  }
  return Status::InvalidArgument("unknown compression codec");
}

}  // namespace sluice::kafka
