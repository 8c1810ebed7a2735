#pragma once
// What those are told to do whose .log file is damaged, missing, or another's; ends the messages
// that name it.

namespace sluice::storage {

inline constexpr char kFileRemedy[] =
    ". Nothing was changed. Put the file back from a backup; or, where another replica has the "
    "records, remove the partition's directory while the broker is stopped, and it is copied again";

}  // namespace sluice::storage
