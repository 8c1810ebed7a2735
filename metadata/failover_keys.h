#pragma once
// FailoverKeys: the server keys that decide how soon somebody else leads where a broker or a
// controller has gone, and how sure one is of it before. The defaults suit hosts of one site; for
// slower networks multiply all of them. Included by metadata/server_keys.cc only.
//
// Thread rule: constants.

#include "base/config.h"

namespace sluice::metadata {

inline constexpr ConfigKey kBrokerDialIntervalMs = {
    .name = "broker.dial.interval.ms",
    .type = ConfigType::kInt,
    .unit = ConfigUnit::kMs,
    .default_value = "100",
    .min = 10,
    .max = 60000,
    .doc = "How often a broker that is silent is dialled by the active controller."};
inline constexpr ConfigKey kBrokerDialSilenceMs = {
    .name = "broker.dial.silence.ms",
    .type = ConfigType::kInt,
    .unit = ConfigUnit::kMs,
    .default_value = "150",
    .min = 10,
    .max = 60000,
    .doc =
        "A broker that was silent for so long is dialled: a refused connection shows "
        "that its process is gone."};
inline constexpr ConfigKey kBrokerDialTakeoverMs = {
    .name = "broker.dial.takeover.ms",
    .type = ConfigType::kInt,
    .unit = ConfigUnit::kMs,
    .default_value = "50",
    .min = 0,
    .max = 60000,
    .doc =
        "A controller that has just become the active one dials after so long the brokers "
        "that it has not heard of."};
inline constexpr ConfigKey kBrokerDialTimeoutMs = {
    .name = "broker.dial.timeout.ms",
    .type = ConfigType::kInt,
    .unit = ConfigUnit::kMs,
    .default_value = "200",
    .min = 10,
    .max = 60000,
    .doc = "How long a dialled broker has to answer or to refuse."};
inline constexpr ConfigKey kBrokerFenceBrakePercent = {
    .name = "broker.fence.brake.percent",
    .type = ConfigType::kInt,
    .default_value = "50",
    .min = 1,
    .max = 100,
    .doc =
        "More brokers than this share, found silent within a session, look like "
        "trouble of the controller itself: it fences no more until a majority of the "
        "controllers has answered it twice."};
inline constexpr ConfigKey kBrokerHeartbeatIntervalMs = {
    .name = "broker.heartbeat.interval.ms",
    .type = ConfigType::kInt,
    .unit = ConfigUnit::kMs,
    .default_value = "100",
    .min = 10,
    .max = 60000,
    .doc = "How often a broker tells the controller that it lives."};
inline constexpr ConfigKey kBrokerLeaseMarginMs = {
    .name = "broker.lease.margin.ms",
    .type = ConfigType::kInt,
    .unit = ConfigUnit::kMs,
    .default_value = "-1",
    .min = -1,
    .max = 60000,
    .doc =
        "A leader acknowledges nothing when it has not heard of the controllers for "
        "its session less this much; -1 = a sixth of the session, at most 100 ms. "
        "Never more than half of the session."};
inline constexpr ConfigKey kBrokerRefusedGraceMs = {
    .name = "broker.refused.grace.ms",
    .type = ConfigType::kInt,
    .unit = ConfigUnit::kMs,
    .default_value = "50",
    .min = 0,
    .max = 60000,
    .doc =
        "How long a broker whose host refuses connections has to come back before it "
        "is fenced."};
inline constexpr ConfigKey kBrokerSessionTimeoutMs = {
    .name = "broker.session.timeout.ms",
    .type = ConfigType::kInt,
    .unit = ConfigUnit::kMs,
    .default_value = "600",
    .min = 100,
    .max = 300000,
    .doc = "A broker that was silent for so long is fenced. Kafka's default is 9000."};
inline constexpr ConfigKey kBrokerStallTimeoutMs = {
    .name = "broker.stall.timeout.ms",
    .type = ConfigType::kInt,
    .unit = ConfigUnit::kMs,
    .default_value = "10000",
    .min = 0,
    .max = 3600000,
    .doc =
        "A broker sends no heartbeats while a thread that it cannot do without stands still for "
        "longer, or a sync of a log directory lasts longer and its disk completes no write for as "
        "long (where the kernel counts none, of file systems without a block device of their own, "
        "the sync alone counts), or ten times as long whatever the disk does: other brokers lead "
        "then; 0 = it sends them always."};
inline constexpr ConfigKey kControllerQuorumConfirmIntervalMs = {
    .name = "controller.quorum.confirm.interval.ms",
    .type = ConfigType::kInt,
    .unit = ConfigUnit::kMs,
    .default_value = "50",
    .min = 5,
    .max = 10000,
    .doc =
        "How often the active controller has a majority confirm that it still is: "
        "leases of leaders count from there."};
inline constexpr ConfigKey kControllerQuorumElectionTimeoutMs = {
    .name = "controller.quorum.election.timeout.ms",
    .type = ConfigType::kInt,
    .unit = ConfigUnit::kMs,
    .default_value = "300",
    .min = 50,
    .max = 60000,
    .doc =
        "A controller that hears no leader for a random time from this to twice this "
        "asks for an election."};
inline constexpr ConfigKey kControllerQuorumHeartbeatIntervalMs = {
    .name = "controller.quorum.heartbeat.interval.ms",
    .type = ConfigType::kInt,
    .unit = ConfigUnit::kMs,
    .default_value = "50",
    .min = 5,
    .max = 10000,
    .doc = "How often the leading controller confirms itself. Sluice's own key."};
inline constexpr ConfigKey kControllerQuorumLeaderLostTimeoutMs = {
    .name = "controller.quorum.leader.lost.timeout.ms",
    .type = ConfigType::kInt,
    .unit = ConfigUnit::kMs,
    .default_value = "20",
    .min = 1,
    .max = 60000,
    .doc =
        "When the leading controller's host refuses connections, the others ask for "
        "an election after a random time from this to three times this."};

}  // namespace sluice::metadata
