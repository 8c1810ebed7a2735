#include "broker/group/offsets_applier.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "base/output_chain.h"

namespace sluice::broker {
namespace {

// Bounds how long a step keeps others of the loop waiting.
constexpr size_t kReadBytes = 1 << 20;

}  // namespace

bool OffsetsApplier::MustRestart() const {
  const std::optional<Offset> applied = view_.applied();
  if (!applied.has_value()) return true;
  // Records that were applied were cut away, or their deletion by tombstones was missed.
  return state_.lowest_end < *applied || *applied < state_.log_start;
}

bool OffsetsApplier::Look() {
  const std::optional<LocalState> state = replicas_.TakeLocalState(key_);
  if (!state.has_value()) return false;
  // A cut that Apply could not act upon is not told again.
  const Offset lowest_end = std::min(state_.lowest_end, state->lowest_end);
  state_ = *state;
  state_.lowest_end = lowest_end;
  return true;
}

OffsetsApplier::Outcome OffsetsApplier::Apply(int64_t now_ms) {
  const Status applied = ApplySome();
  if (!applied.ok()) {
    if (const auto often = not_applied_.Failed(now_ms)) {
      LOG(WARNING) << kOffsetsTopic << '-' << key_.partition << ": " << applied.ToString()
                   << *often;
    }
    return Outcome::kLater;
  }
  LOG_IF(INFO, not_applied_.Over())
      << kOffsetsTopic << '-' << key_.partition << ": its view goes on";
  if (!state_.usable || *view_.applied() >= state_.high_watermark) return Outcome::kUpToDate;
  // Appended here, but where is not known yet: the answer to that append comes.
  if (view_.has_appended() && !view_.first_appended().has_value()) return Outcome::kUpToDate;
  return Outcome::kMore;
}

Status OffsetsApplier::ApplySome() {
  if (!opened_) SLUICE_RETURN_IF_ERROR(view_.Open());
  opened_ = true;
  if (!state_.usable) return Status::Ok();
  if (MustRestart()) {
    LOG_IF(INFO, view_.applied().has_value())
        << kOffsetsTopic << '-' << key_.partition << ": reading the view again, which was at "
        << *view_.applied() << " of a log that was cut to " << state_.lowest_end
        << " and starts at " << state_.log_start;
    SLUICE_RETURN_IF_ERROR(view_.Restart(state_.log_start));
  }
  state_.lowest_end = Offset(INT64_MAX);
  SLUICE_RETURN_IF_ERROR(view_.ApplyAppended(state_.high_watermark));
  Offset upto = state_.high_watermark;
  if (view_.has_appended()) {
    // Foreign records come before ours in the log; ours need not be read.
    if (!view_.first_appended().has_value()) return Status::Ok();
    upto = std::min(upto, *view_.first_appended());
  }
  const Offset from = *view_.applied();
  if (from >= upto) return Status::Ok();
  LocalRead read = replicas_.ReadLocal(key_, from, kReadBytes);
  if (read.error != kafka::ErrorCode::kNone)
    return Status::Unavailable("reading at " + std::to_string(from.value()) + ": error " +
                               std::to_string(static_cast<int>(read.error)));
  // The cleaner may leave nothing at the end of a segment.
  if (read.size_bytes == 0) return view_.SkipTo(upto);
  OutputChain chain;
  for (FileSlice& slice : read.records) chain.Add(std::move(slice));
  SLUICE_ASSIGN_OR_RETURN(const std::string batches, Flatten(chain));
  // Cut and written anew meanwhile, they are no batches; the next look tells.
  return view_.Apply(batches, upto);
}

}  // namespace sluice::broker
