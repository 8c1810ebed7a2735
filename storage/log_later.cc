// What a clean start left unread: the newest segment, the epoch history, the producer state.
// (Sealed segments load one by one, where they are read.)

#include "storage/log_impl.h"
#include "storage/recovery.h"

namespace sluice::storage {

// Where the newest segment is damaged nothing is appended; what is whole of the log is still read.
Status LogImpl::EnsureActive() {
  const Status loaded = NotedAtEnd(segments_.size() - 1, active().EnsureLoaded());
  return loaded.code() == StatusCode::kCorruption ? loaded : Checked(loaded);
}

Status LogImpl::EnsureEpochs() const {
  if (epochs_loaded_) return Status::Ok();
  SLUICE_RETURN_IF_ERROR(offline_);
  // The stop wrote the file: nothing need be read from batches unless it is gone.
  auto loaded = LoadEpochs(options_, segments_, {Offset(INT64_MAX), log_start_offset()});
  if (!loaded.ok()) return Checked(loaded.status());
  epochs_ = std::move(loaded->epochs);
  epochs_loaded_ = true;
  return Status::Ok();
}

Status LogImpl::EnsureProducers() const {
  if (producers_loaded_) return Status::Ok();
  const MayWait wait(*home_);
  // The stop wrote the transaction indexes; markers that came since are in none.
  const TxnRebuild rebuild{txn_indexes_.get(), opened_end_};
  auto loaded = LoadProducers(options_, segments_, &rebuild);
  if (!loaded.ok()) return Checked(loaded.status());
  loaded->KeepRefused(producers_);
  producers_ = std::move(*loaded);
  producers_loaded_ = true;
  return Status::Ok();
}

}  // namespace sluice::storage
