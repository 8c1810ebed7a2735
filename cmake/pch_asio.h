// Precompiled for broker/: the standard headers that every file there uses, and glog. Asio stays
// out: only broker/net includes it.
#include <glog/logging.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>
