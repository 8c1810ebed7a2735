// The log as the copy of one that moves here from another directory of the node.

#include "storage/log_impl.h"

namespace sluice::storage {

Status LogImpl::TakeHistoryOf(const Log& other) {
  const auto& source = static_cast<const LogImpl&>(other);
  SLUICE_RETURN_IF_ERROR(CheckOnline());
  CHECK_EQ(log_end_offset(), source.log_end_offset()) << options_.directory;
  for (const Status& known : {source.EnsureEpochs(), source.EnsureProducers()}) {
    if (!known.ok()) return Status::Unavailable("its log cannot be read: " + known.message());
  }
  // A compaction that works on the source's files is about to lose them.
  source.generation_->fetch_add(1, std::memory_order_relaxed);
  epochs_ = source.epochs_;
  epochs_loaded_ = true;
  // Also what no snapshot holds: markers that are not replicated yet, and refusals.
  producers_ = source.producers_;
  producers_loaded_ = true;
  SLUICE_RETURN_IF_ERROR(Checked(SaveEpochs()));
  if (log_end_offset() == log_start_offset() && producers_.producers().empty()) return Status::Ok();
  // What is older than the records here is known to the source's snapshots alone.
  return Checked(SaveSnapshot());
}

void LogImpl::set_home(const std::string& directory,
                       std::function<Status(Offset)> lower_recovery_point) {
  options_.directory = directory;
  home_->directory = directory;
  options_.lower_recovery_point = std::move(lower_recovery_point);
}

}  // namespace sluice::storage
