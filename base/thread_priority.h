#pragma once
// The priority of threads whose work nobody waits for.
//
// Thread rule: any thread, about itself.

namespace sluice {

// The calling thread gets processor time after the others of this machine (nice 10), and its reads
// and writes wait behind theirs where the disk's scheduler knows priorities. Where the system
// refuses, it stays as it is.
void LowerThreadPriority();

}  // namespace sluice
