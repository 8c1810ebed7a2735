#include "rpc/message_text.h"

#include <gtest/gtest.h>

#include "proto/controller.pb.h"

namespace sluice::rpc {
namespace {

TEST(MessageTextTest, FindsTheStringThatIsNoText) {
  controller::CreateTopicsRequest request;
  controller::CreatableTopic& topic = *request.add_topics();
  topic.set_name("caf\xC3\xA9");
  (*topic.mutable_configs())["retention.ms"] = "1";
  request.set_request_id("\xFF");  // bytes may be anything
  EXPECT_TRUE(CheckText(request).ok());

  (*topic.mutable_configs())["retention.ms"] = "\xFF";
  EXPECT_EQ(CheckText(request).message(), "topics.configs.value is not UTF-8 text");
  topic.clear_configs();
  topic.set_name("\xFF");
  EXPECT_EQ(CheckText(request).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckText(request).message(), "topics.name is not UTF-8 text");
}

}  // namespace
}  // namespace sluice::rpc
