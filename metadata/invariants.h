#pragma once
// Invariants: what must hold in every image, as a program (the list stands in metadata/image.h),
// and what must hold between an image and its successor. Called after each applied entry by the
// active controller and by tests.
//
// Thread rule: pure.

#include "base/status.h"
#include "metadata/image.h"
#include "metadata/replay.h"

namespace sluice::metadata {

// kInternal names the first breach. The whole image: for tests and after loading a snapshot.
Status CheckImage(const Image& image);
// Only what the delta touched: cheap enough for production.
Status CheckTouched(const Image& image, const Delta& delta);
// Epochs never go back; the leader epoch changes whenever the leader does; the partition epoch
// rises with every change.
Status CheckTransition(const Image& before, const Image& after);

}  // namespace sluice::metadata
