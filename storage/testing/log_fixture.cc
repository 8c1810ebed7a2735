#include "storage/testing/log_fixture.h"

#include "storage/batch_header.h"
#include "storage/file_cache.h"

namespace sluice::storage::testing {

std::ostream& operator<<(std::ostream& out, const SeenBatch& batch) {
  return out << "[" << batch.base << ".." << batch.last << " epoch " << batch.epoch << ", "
             << batch.bytes << " bytes]";
}

Result<std::string> ReadBytesOf(const ReadResult& read) {
  std::string bytes;
  for (const FileSlice& slice : read.slices) {
    std::string part(slice.size_bytes, '\0');
    SLUICE_ASSIGN_OR_RETURN(const size_t got,
                            slice.file->ReadAt(slice.offset, part.data(), part.size()));
    CHECK_EQ(got, part.size());
    bytes += part;
  }
  CHECK_EQ(bytes.size(), read.size_bytes);
  return bytes;
}

std::string BytesOf(const ReadResult& read) {
  auto bytes = ReadBytesOf(read);
  CHECK(bytes.ok()) << bytes.status().ToString();
  return *std::move(bytes);
}

std::vector<SeenBatch> BatchesIn(std::string_view bytes) {
  std::vector<SeenBatch> batches;
  while (true) {
    const auto header = BatchHeader::Parse(bytes);
    if (!header || header->size_bytes > bytes.size()) return batches;
    CHECK(BatchChecksumHolds(bytes.substr(0, header->size_bytes)));
    batches.push_back({header->base_offset.value(), header->last_offset.value(),
                       header->leader_epoch.value(), header->size_bytes});
    bytes.remove_prefix(header->size_bytes);
  }
}

LogFixture::LogFixture() {
  CHECK(fs_.CreateDirectories("/data").ok());
  CHECK(fs_.SyncFileSystem("/").ok());
}

LogOptions LogFixture::Options() const {
  LogOptions options;
  options.directory = kLogDirectory;
  options.topic_id = Uuid::FromBytes("0123456789abcdef");
  options.config = config_;
  options.file_system = const_cast<::sluice::testing::SimFileSystem*>(&fs_);
  // So few that files are closed and opened again all the time.
  options.files = std::make_shared<FileCache>(*options.file_system, 2);
  options.clock = &clock_;
  return options;
}

void LogFixture::Open(LogOptions options) {
  log_.reset();
  auto log = Log::Open(std::move(options));
  ASSERT_TRUE(log.ok()) << log.status().ToString();
  log_ = std::move(*log);
}

void LogFixture::Kill(Offset recovery_point) {
  log_.reset();
  fs_.KillProcess();
  LogOptions options = Options();
  options.recovery_point = recovery_point;
  options.host_stayed_up = true;
  options.checked_tail_bytes = 0;
  Open(std::move(options));
}

void LogFixture::CloseAndReopen() {
  ASSERT_TRUE(log_->Close().ok());
  LogOptions options = Options();
  options.recovery_point = log_->flushed_offset();
  options.log_start_offset = log_->log_start_offset();
  options.clean = true;
  Open(std::move(options));
}

Offset LogFixture::Append(const BatchSpec& spec, int32_t epoch) {
  auto outcome = log_->AppendAsLeader(MakeBatch(spec), LeaderEpoch(epoch));
  CHECK(outcome.ok()) << outcome.status().ToString();
  CHECK(outcome->error == kafka::ErrorCode::kNone) << outcome->message;
  return outcome->info.first_offset;
}

void LogFixture::Flush() {
  const FlushTarget target = log_->PrepareFlush();
  log_->OnFlushed(target.upto, target.Run());
  ASSERT_EQ(log_->flushed_offset(), log_->log_end_offset());
}

std::vector<SeenBatch> LogFixture::ReadAll(Offset from, Offset upto, size_t size_bytes_max) {
  std::vector<SeenBatch> all;
  while (true) {
    auto read = log_->Read(from, size_bytes_max, upto, true);
    CHECK(read.ok()) << read.status().ToString();
    const auto batches = BatchesIn(BytesOf(*read));
    if (batches.empty()) return all;
    all.insert(all.end(), batches.begin(), batches.end());
    from = Offset(batches.back().last + 1);
  }
}

std::vector<std::string> LogFixture::Files() {
  auto names = fs_.List(kLogDirectory);
  CHECK(names.ok());
  return *names;
}

std::string LogFixture::FileBytes(const std::string& name) {
  auto bytes = ReadFile(fs_, std::string(kLogDirectory) + "/" + name);
  CHECK(bytes.ok()) << bytes.status().ToString();
  return *bytes;
}

uint64_t LogFixture::FileSize(const std::string& name) { return FileBytes(name).size(); }

}  // namespace sluice::storage::testing
