// Which connections are closed when a leader is lost.

#include "broker/lost_leaders.h"

#include <gtest/gtest.h>

#include <memory>

namespace sluice::broker {
namespace {

metadata::Image ImageOf(std::initializer_list<metadata::BrokerImage> brokers) {
  metadata::Image image;
  for (const metadata::BrokerImage& broker : brokers)
    image.brokers[broker.id] = std::make_shared<const metadata::BrokerImage>(broker);
  return image;
}

metadata::BrokerImage Serving(int id) {
  metadata::BrokerImage broker;
  broker.id = NodeId(id);
  broker.fenced = false;
  return broker;
}

TEST(LostLeadersTest, AreThoseThatWereFencedOrTakenOut) {
  const metadata::Image before = ImageOf({Serving(1), Serving(2), Serving(3)});
  metadata::BrokerImage fenced = Serving(2);
  fenced.fenced = true;
  EXPECT_EQ(LostLeaders(before, before, NodeId(1)), std::set<NodeId>());
  EXPECT_EQ(LostLeaders(before, ImageOf({Serving(1), fenced, Serving(3)}), NodeId(1)),
            std::set{NodeId(2)});
  EXPECT_EQ(LostLeaders(before, ImageOf({Serving(1), Serving(2)}), NodeId(1)), std::set{NodeId(3)});
  EXPECT_EQ(LostLeaders(ImageOf({fenced}), ImageOf({fenced}), NodeId(1)), std::set<NodeId>());
}

TEST(LostLeadersTest, OneWhoseProcessIsGoneHasTheConnectionsToItBroken) {
  metadata::BrokerImage gone = Serving(2), anew = Serving(2);
  gone.fenced = gone.process_gone = true;
  anew.fenced = true;
  anew.epoch = BrokerEpoch(7);
  EXPECT_EQ(LostLeaders(ImageOf({Serving(2)}), ImageOf({gone}), NodeId(1)), std::set<NodeId>());
  EXPECT_EQ(LostLeaders(ImageOf({Serving(2)}), ImageOf({anew}), NodeId(1)), std::set<NodeId>());
}

TEST(LostLeadersTest, OneThatStopsInOrderIsLostToItsOwnClientsOnly) {
  metadata::BrokerImage stopping = Serving(2), gone = stopping;
  stopping.in_controlled_shutdown = true;
  gone.fenced = true;
  const metadata::Image serving = ImageOf({Serving(2)}), stops = ImageOf({stopping});
  EXPECT_EQ(LostLeaders(serving, stops, NodeId(1)), std::set<NodeId>());
  EXPECT_EQ(LostLeaders(stops, ImageOf({gone}), NodeId(1)), std::set<NodeId>());
  EXPECT_EQ(LostLeaders(serving, stops, NodeId(2)), std::set{NodeId(2)});
  EXPECT_EQ(LostLeaders(stops, ImageOf({gone}), NodeId(2)), std::set<NodeId>()) << "told before";
}

TEST(LostLeadersTest, TurnsAreTakenOneAfterTheOther) {
  const metadata::Image image = ImageOf({Serving(1), Serving(2), Serving(5)});
  EXPECT_EQ(TurnsOf(NodeId(1), image), (Turns{{0, 150, 300}, 50}));
  EXPECT_EQ(TurnsOf(NodeId(2), image), (Turns{{50, 200, 350}, 50}));
  EXPECT_EQ(TurnsOf(NodeId(5), image), (Turns{{100, 250, 400}, 50}));
  metadata::BrokerImage stopping = Serving(2);
  stopping.in_controlled_shutdown = true;
  EXPECT_EQ(TurnsOf(NodeId(2), ImageOf({Serving(1), stopping})), (Turns{{0, 15, 30, 45}, 15}));
}

class ConcernsTest : public ::testing::Test {
 protected:
  bool IsConcerned() const { return Concerns(connection, {NodeId(2)}, 5000); }
  ConnectionInfo connection;
};

TEST_F(ConcernsTest, ClientsThatMayHaveKnownTheLostOne) {
  EXPECT_TRUE(IsConcerned()) << "it has asked for nothing yet";
  connection.is_client = true;
  EXPECT_TRUE(IsConcerned()) << "it was told elsewhere";
  connection.asked_metadata_ms = 4000;
  connection.told_leaders = {NodeId(1), NodeId(3)};
  EXPECT_FALSE(IsConcerned()) << "it was told of others";
  connection.told_leaders.insert(NodeId(2));
  EXPECT_TRUE(IsConcerned());
  connection.is_member = true;
  EXPECT_FALSE(IsConcerned()) << "its coordinator is alive";
  connection.is_member = false;
  connection.is_replica = true;
  EXPECT_FALSE(IsConcerned()) << "the feed tells it";
}

TEST_F(ConcernsTest, NobodyWhoHasAskedSince) {
  connection.is_client = true;
  connection.told_leaders = {NodeId(2)};
  connection.asked_metadata_ms = 5000;
  EXPECT_FALSE(IsConcerned());
  // The answer waited for whom the controllers let lead.
  connection.asked_metadata_ms = connection.waited_for_leader_ms = 4950;
  EXPECT_FALSE(IsConcerned());
  // Whom an earlier one named is not known here.
  connection.waited_for_leader_ms = 1000;
  connection.told_leaders = {NodeId(1)};
  EXPECT_TRUE(IsConcerned());
}

}  // namespace
}  // namespace sluice::broker
