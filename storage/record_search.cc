#include "storage/record_search.h"

#include <string>

#include "kafka/record_batch.h"

namespace sluice::storage {
namespace {

// What one stored batch may inflate to at most: a guard against a hostile one, far above any
// message.max.bytes in use.
constexpr size_t kInflatedBytesMax = 256u << 20;

}  // namespace

Result<std::optional<RecordPlace>> FirstRecordAtOrAfter(std::string_view batch,
                                                        int64_t timestamp_ms, Offset from) {
  SLUICE_ASSIGN_OR_RETURN(const auto view, kafka::RecordBatchView::Parse(batch));
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

}  // namespace sluice::storage
