#include "admin/http_server.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "base/version.h"
#include "rpc/gate.h"

namespace sluice::admin {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr size_t kHeaderBytesMax = 16 * 1024;

int64_t TimeoutOf(const http::request<http::string_body>& request) {
  const auto text = request["Connect-Timeout-Ms"];
  int64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9' || value > 1'000'000) return 30'000;
    value = value * 10 + (c - '0');
  }
  return text.empty() ? 30'000 : std::max<int64_t>(value, 1);
}

}  // namespace

namespace {
class Session;
}

// Everything belongs to the one thread that runs `io`; sessions keep it alive until they are gone.
struct HttpServer::Impl : std::enable_shared_from_this<Impl> {
  explicit Impl(HttpServerOptions o) : options(std::move(o)) {}

  Status Listen();
  void Accept();
  void Run() { io.run(); }

  HttpServerOptions options;
  asio::io_context io{1};
  tcp::acceptor acceptor{io};
  asio::steady_timer accept_pause{io};
  std::set<std::shared_ptr<Session>> sessions;
  std::shared_ptr<rpc::Gate> replies =
      std::make_shared<rpc::Gate>();  // closed when nobody writes them any more
  bool stopping = false;
  uint16_t port = 0;
  std::thread thread;
};

namespace {

// One connection: a request is read whole, handed on, its reply written, and then the next is read.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, std::shared_ptr<void> server, const HttpServerOptions& options,
          std::shared_ptr<rpc::Gate> replies, std::function<void(std::shared_ptr<Session>)> on_end)
      : server_(std::move(server)),
        stream_(std::move(socket)),
        options_(options),
        replies_(std::move(replies)),
        on_end_(std::move(on_end)) {}

  void Read() {
    parser_.emplace();
    parser_->body_limit(options_.body_bytes_max);
    parser_->header_limit(kHeaderBytesMax);
    stream_.expires_after(std::chrono::milliseconds(options_.timeout_ms));
    http::async_read(
        stream_, buffer_, *parser_,
        [self = shared_from_this()](error_code error, size_t) { self->OnRead(error); });
  }
  void Close() {
    error_code ignored;
    stream_.socket().close(ignored);
  }

 private:
  void OnRead(error_code error) {
    if (error == http::error::body_limit) {
      keep_alive_ = false;
      return Write(
          {.status = 413,
           .body = "the body exceeds " + std::to_string(options_.body_bytes_max) + " bytes\n"});
    }
    if (error) return End();
    // Handlers bound their own time; a pause between calls is bounded by the next read.
    stream_.expires_never();
    const http::request<http::string_body> request = parser_->release();
    keep_alive_ = request.keep_alive();
    version_ = request.version();
    HttpRequest plain{.method = std::string(request.method_string()),
                      .timeout_ms = TimeoutOf(request)};
    const std::string target(request.target());
    plain.path = target.substr(0, target.find('?'));
    plain.content_type = std::string(request[http::field::content_type]);
    plain.body = request.body();
    head_ = plain.method == "HEAD";
    if (head_) plain.method = "GET";
    options_.handler(std::move(plain),
                     rpc::Guarded(replies_, [self = shared_from_this()](HttpResponse response) {
                       asio::post(self->stream_.get_executor(),
                                  [self, response = std::move(response)]() mutable {
                                    self->Write(std::move(response));
                                  });
                     }));
  }

  void Write(HttpResponse response) {
    response_.emplace();
    response_->version(version_);
    response_->result(static_cast<unsigned>(response.status));
    response_->set(http::field::server, std::string("sluice/") + kVersion);
    response_->set(http::field::content_type, response.content_type);
    response_->set(http::field::cache_control, "no-store");
    response_->set("X-Content-Type-Options", "nosniff");
    response_->keep_alive(keep_alive_);
    response_->body() = std::move(response.body);
    response_->prepare_payload();
    if (head_) response_->body().clear();
    stream_.expires_after(std::chrono::milliseconds(options_.timeout_ms));
    http::async_write(stream_, *response_, [self = shared_from_this()](error_code error, size_t) {
      if (error || !self->keep_alive_) return self->End();
      self->Read();
    });
  }

  void End() {
    error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    stream_.socket().close(ignored);
    if (auto on_end = std::exchange(on_end_, nullptr); on_end) on_end(shared_from_this());
  }

  std::shared_ptr<void> server_;  // first: its io_context must outlive the stream
  beast::tcp_stream stream_;
  const HttpServerOptions& options_;
  std::shared_ptr<rpc::Gate> replies_;
  std::function<void(std::shared_ptr<Session>)> on_end_;
  beast::flat_buffer buffer_{kHeaderBytesMax + (2 << 20)};
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<http::response<http::string_body>> response_;
  unsigned version_ = 11;
  bool keep_alive_ = false;
  bool head_ = false;
};

}  // namespace

Status HttpServer::Impl::Listen() {
  const std::string name = options.host + ":" + std::to_string(options.port);
  error_code error;
  tcp::resolver resolver(io);
  tcp::endpoint endpoint(tcp::v6(), options.port);
  if (!options.host.empty()) {
    const auto found =
        resolver.resolve(options.host, std::to_string(options.port), tcp::resolver::passive, error);
    if (error)
      return Status::Unavailable("cannot listen on " + name + " for HTTP: " + error.message());
    endpoint = found.begin()->endpoint();
  }
  acceptor.open(endpoint.protocol(), error);
  if (error && options.host.empty()) {  // a machine without IPv6
    endpoint = tcp::endpoint(tcp::v4(), options.port);
    acceptor.open(endpoint.protocol(), error);
  }
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error)
    return Status::Unavailable("cannot listen on " + name + " for HTTP: " + error.message());
  port = acceptor.local_endpoint(error).port();
  return Status::Ok();
}

void HttpServer::Impl::Accept() {
  acceptor.async_accept([this](error_code error, tcp::socket socket) {
    if (stopping || error == asio::error::operation_aborted) return;
    if (error) {
      // Out of descriptors: wait for some to come free instead of spinning.
      accept_pause.expires_after(std::chrono::milliseconds(100));
      accept_pause.async_wait([this](error_code cancelled) {
        if (!cancelled) Accept();
      });
      return;
    }
    if (sessions.size() < static_cast<size_t>(options.connections_max)) {
      auto session = std::make_shared<Session>(
          std::move(socket), shared_from_this(), options, replies,
          [this](const std::shared_ptr<Session>& ended) { sessions.erase(ended); });
      sessions.insert(session);
      session->Read();
    }  // else the socket closes here: the bound is reached
    Accept();
  });
}

HttpServer::HttpServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<HttpServer>> HttpServer::Start(HttpServerOptions options) {
  auto impl = std::make_shared<Impl>(std::move(options));
  SLUICE_RETURN_IF_ERROR(impl->Listen());
  impl->Accept();
  impl->thread = std::thread([impl] { impl->Run(); });
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::~HttpServer() { Stop(); }

uint16_t HttpServer::port() const { return impl_->port; }

void HttpServer::Stop() {
  if (!impl_->thread.joinable()) return;
  asio::post(impl_->io, [impl = impl_] {
    impl->stopping = true;
    error_code ignored;
    impl->acceptor.close(ignored);
    impl->accept_pause.cancel();
    for (const auto& session : impl->sessions) session->Close();
    impl->sessions.clear();
    impl->io.stop();
  });
  impl_->thread.join();
  impl_->replies->Close();
  // What was under way ends with an error now; it holds the sessions, and these hold the state.
  impl_->io.restart();
  impl_->io.poll();
}

}  // namespace sluice::admin
