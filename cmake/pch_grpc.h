// Precompiled for the folders that speak gRPC.
#include <glog/logging.h>
#include <grpcpp/grpcpp.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>
