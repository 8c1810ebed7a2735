#include "broker/net/peer_client_asio.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "broker/net/frame.h"
#include "kafka/api_keys.h"
#include "kafka/messages/request_header.h"
#include "kafka/messages/response_header.h"
#include "kafka/wire_reader.h"
#include "kafka/wire_writer.h"

namespace sluice::broker {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr size_t kRetainedBytes = size_t{16} << 20;
constexpr int32_t kSmallestResponse = 4;  // the correlation id

using FetchDone = std::function<void(Result<kafka::FetchResponse>)>;

Result<OutputChain> EncodeRequest(const kafka::FetchRequest& request, int32_t correlation_id,
                                  const std::string& client_id) {
  constexpr int16_t kVersion = kafka::FetchRequest::kVersionMax;
  kafka::RequestHeader header;
  header.request_api_key = kafka::FetchRequest::kApiKey;
  header.request_api_version = kVersion;
  header.correlation_id = correlation_id;
  header.client_id = client_id;
  kafka::WireWriter writer;
  writer.BeginFrame();
  header.Encode(writer, kafka::RequestHeaderVersion(kafka::FetchRequest::kApiKey, kVersion));
  request.Encode(writer, kVersion);
  if (!writer.status().ok()) return writer.status();
  return writer.Finish();
}

Result<kafka::FetchResponse> DecodeResponse(const FramePtr& frame, int32_t correlation_id) {
  constexpr int16_t kVersion = kafka::FetchResponse::kVersionMax;
  kafka::WireReader reader(frame->bytes(), frame);
  kafka::ResponseHeader header;
  SLUICE_RETURN_IF_ERROR(
      header.Decode(reader, kafka::ResponseHeaderVersion(kafka::FetchResponse::kApiKey, kVersion)));
  if (header.correlation_id != correlation_id) {
    return Status::Corruption("a broker answered request " + std::to_string(header.correlation_id) +
                              " instead of " + std::to_string(correlation_id));
  }
  kafka::FetchResponse response;
  SLUICE_RETURN_IF_ERROR(response.Decode(reader, kVersion));
  return response;
}

}  // namespace

struct AsioPeerConnector::Network {
  Network(PeerConnectorOptions given, NetworkLoop& loop)
      : options(std::move(given)), io(loop.io()) {}

  const PeerConnectorOptions options;
  asio::io_context& io;
  // Followers read what the leader's produce budget let in: no second budget.
  const std::shared_ptr<MemoryBudget> budget = std::make_shared<MemoryBudget>(SIZE_MAX);
  const std::shared_ptr<FramePool> pool = std::make_shared<FramePool>(kRetainedBytes);
};

namespace {

// The socket of one peer and the call under way. Lives on the network's loop; the coroutine of a
// call keeps it alive.
template <typename Network>
class PeerSocket : public std::enable_shared_from_this<PeerSocket<Network>> {
 public:
  PeerSocket(std::shared_ptr<Network> network, std::string host, int port)
      : network_(std::move(network)), host_(std::move(host)), port_(port) {}

  asio::awaitable<void> Call(OutputChain request, int32_t correlation_id, int64_t timeout_ms,
                             FetchDone done) {
    deadline_.expires_after(std::chrono::milliseconds(timeout_ms));
    call_ = correlation_id;
    deadline_.async_wait(
        [self = this->shared_from_this(), correlation_id](const boost::system::error_code& error) {
          // The timer of an earlier call may have fired just when its answer came.
          if (!error && self->call_ == correlation_id)
            self->Abort(Status::Timeout("no answer within the time given"));
        });
    boost::system::error_code error;
    FramePtr frame;
    if (closed_) error = asio::error::operation_aborted;
    if (!error && !socket_.is_open()) co_await Dial(error);
    if (!error) co_await WriteAll(request, error);
    if (!error) frame = co_await ReadFrame(error);
    deadline_.cancel();
    call_ = 0;
    if (error) {
      const Status why = aborted_.ok() ? Status::Unavailable(Name() + ": " + error.message())
                                       : std::exchange(aborted_, {});
      Disconnect();
      done(Status(why.code(), why.message()));
      co_return;
    }
    Result<kafka::FetchResponse> response = DecodeResponse(frame, correlation_id);
    if (!response.ok()) Disconnect();
    done(std::move(response));
  }

  // The client is gone: fails the call under way.
  void Close() {
    closed_ = true;
    Abort(Status::Unavailable(Name() + ": the connection was given up"));
  }

 private:
  std::string Name() const { return "broker at " + host_ + ":" + std::to_string(port_); }

  void Abort(Status why) {
    aborted_ = Status(why.code(), Name() + ": " + why.message());
    resolver_.cancel();
    Disconnect();
  }

  void Disconnect() {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

  asio::awaitable<void> Dial(boost::system::error_code& error) {
    aborted_ = {};
    const auto endpoints = co_await resolver_.async_resolve(
        host_, std::to_string(port_), asio::redirect_error(asio::use_awaitable, error));
    if (error || !aborted_.ok()) {
      if (!error) error = asio::error::operation_aborted;
      co_return;
    }
    co_await asio::async_connect(socket_, endpoints,
                                 asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    boost::system::error_code ignored;
    socket_.set_option(tcp::no_delay(true), ignored);
    socket_.set_option(asio::socket_base::keep_alive(true), ignored);
    if (network_->options.socket_receive_bytes > 0) {
      socket_.set_option(
          asio::socket_base::receive_buffer_size(network_->options.socket_receive_bytes), ignored);
    }
  }

  // A fetch request holds no file ranges.
  asio::awaitable<void> WriteAll(const OutputChain& chain, boost::system::error_code& error) {
    std::vector<asio::const_buffer> buffers;
    for (const OutputChain::Segment& segment : chain.segments()) {
      if (const auto* owned = std::get_if<std::string>(&segment)) {
        buffers.push_back(asio::buffer(*owned));
      } else {
        const std::string_view bytes = std::get<SharedBytes>(segment).bytes;
        buffers.push_back(asio::buffer(bytes.data(), bytes.size()));
      }
    }
    Count(network_->options.metrics->bytes_out, chain.size_bytes());
    co_await asio::async_write(socket_, buffers, asio::redirect_error(asio::use_awaitable, error));
  }

  asio::awaitable<FramePtr> ReadFrame(boost::system::error_code& error) {
    char prefix[4];
    co_await asio::async_read(socket_, asio::buffer(prefix),
                              asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return nullptr;
    const int32_t size = LoadBigEndian<int32_t>(prefix);
    if (size < kSmallestResponse || size > network_->options.response_bytes_max) {
      LOG(WARNING) << Name() << " sent a frame of " << size << " bytes";
      error = asio::error::message_size;
      co_return nullptr;
    }
    const auto frame = std::make_shared<Frame>(
        static_cast<size_t>(size), network_->budget->TryAcquire(static_cast<size_t>(size)),
        network_->pool);
    while (!frame->complete()) {
      const std::span<char> space = frame->Space();
      const size_t got =
          co_await socket_.async_read_some(asio::buffer(space.data(), space.size()),
                                           asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return nullptr;
      frame->Commit(got);
    }
    Count(network_->options.metrics->bytes_in, frame->size_bytes() + sizeof prefix);
    co_return frame;
  }

  const std::shared_ptr<Network> network_;
  const std::string host_;
  const int port_;
  tcp::socket socket_{network_->io};
  tcp::resolver resolver_{network_->io};
  asio::steady_timer deadline_{network_->io};
  Status aborted_;    // why the call under way was broken off; ok while it was not
  int32_t call_ = 0;  // correlation id of the call under way, or 0
  bool closed_ = false;
};

template <typename Network>
class AsioPeerClient final : public PeerClient {
 public:
  AsioPeerClient(std::shared_ptr<Network> network, const std::string& host, int port,
                 EventLoop& loop)
      : network_(std::move(network)),
        loop_(loop),
        socket_(std::make_shared<PeerSocket<Network>>(network_, host, port)) {}
  ~AsioPeerClient() override {
    asio::post(network_->io, [socket = std::move(socket_)] { socket->Close(); });
  }

  void Fetch(const kafka::FetchRequest& request, int64_t timeout_ms,
             std::function<void(Result<kafka::FetchResponse>)> done) override {
    const int32_t correlation_id = ++last_correlation_id_;
    Result<OutputChain> frame = EncodeRequest(request, correlation_id, network_->options.client_id);
    FetchDone to_loop = [&loop = loop_,
                         done = std::move(done)](Result<kafka::FetchResponse> response) {
      loop.Post([done, response = std::move(response)]() mutable { done(std::move(response)); });
    };
    if (!frame.ok()) return to_loop(frame.status());
    asio::co_spawn(
        network_->io,
        [socket = socket_, chain = *std::move(frame), correlation_id, timeout_ms,
         to_loop = std::move(to_loop)]() mutable {
          return socket->Call(std::move(chain), correlation_id, timeout_ms, std::move(to_loop));
        },
        asio::detached);
  }

 private:
  const std::shared_ptr<Network> network_;
  EventLoop& loop_;
  std::shared_ptr<PeerSocket<Network>> socket_;
  int32_t last_correlation_id_ = 0;
};

}  // namespace

AsioPeerConnector::AsioPeerConnector(PeerConnectorOptions options, NetworkLoop& loop) {
  CHECK(options.metrics != nullptr);
  network_ = std::make_shared<Network>(std::move(options), loop);
}

std::shared_ptr<PeerClient> AsioPeerConnector::Connect(const std::string& host, int port,
                                                       EventLoop& loop) {
  return std::make_shared<AsioPeerClient<Network>>(network_, host, port, loop);
}

}  // namespace sluice::broker
