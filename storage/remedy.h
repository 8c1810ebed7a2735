#pragma once
// What those are told to do whose .log file is damaged, missing, or another's; ends the messages
// that name it.

namespace sluice::storage {

inline constexpr char kFileRemedy[] =
    ". Nothing was changed. Put the file back from a backup; or, where another replica has the "
    "records, remove the partition's directory while the broker is stopped, and it is copied again";

// The same where a file beside the .log contradicts it, and nothing tells which of the two is
// wrong.
inline constexpr char kForeignRemedy[] =
    ". Nothing was changed. If the .log is the wrong one, put the right one back from a backup; "
    "or, "
    "where another replica has the records, remove the partition's directory while the broker is "
    "stopped, and it is copied again. If it is the other file, remove that: it is made again";

}  // namespace sluice::storage
