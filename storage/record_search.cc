#include "storage/record_search.h"

#include <algorithm>
#include <string>

#include "kafka/record_batch.h"

namespace sluice::storage {
namespace {

// What one stored batch may inflate to at most: a guard against a hostile one, far above any
// message.max.bytes in use.
constexpr size_t kInflatedBytesMax = 256u << 20;

Result<std::optional<RecordPlace>> FirstRecordIn(const kafka::RecordBatchView& view,
                                                 int64_t timestamp_ms, Offset from) {
  std::string storage;
  SLUICE_ASSIGN_OR_RETURN(const std::string_view plain,
                          kafka::PlainRecords(view, kInflatedBytesMax, storage));
  kafka::RecordIterator records(view, plain);
  kafka::Record record;
  while (records.Next(record)) {
    if (record.timestamp_ms >= timestamp_ms && record.offset >= from) {
      return std::optional(RecordPlace{record.offset, record.timestamp_ms});
    }
  }
  SLUICE_RETURN_IF_ERROR(records.status());
  return std::optional<RecordPlace>();
}

}  // namespace

Result<std::optional<RecordPlace>> FirstRecordAtOrAfter(std::string_view batch,
                                                        int64_t timestamp_ms, Offset from) {
  SLUICE_ASSIGN_OR_RETURN(const auto view, kafka::RecordBatchView::Parse(batch));
  const Result<std::optional<RecordPlace>> found = FirstRecordIn(view, timestamp_ms, from);
  if (found.ok()) return found;
  SLUICE_RETURN_IF_ERROR(view.CheckCrc());
  // Its producer sent it so: compressed batches are stored unopened. The log is whole on every
  // replica, and the header has to do.
  if (view.max_timestamp() < timestamp_ms || view.last_offset() < from)
    return std::optional<RecordPlace>();
  return std::optional(RecordPlace{std::max(view.base_offset(), from), view.max_timestamp()});
}

}  // namespace sluice::storage
