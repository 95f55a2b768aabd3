#include "unix_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "addon.h"
#include "error.h"
#include "loop_hub.h"

namespace pillion {

namespace {

constexpr int kMaxDescriptors = 4;  // more than the protocol ever allows, so that "too many" can be told from "enough"

bool FillAddress(const std::string& path, sockaddr_un* address) {
  std::memset(address, 0, sizeof(*address));
  address->sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address->sun_path)) return false;
  std::memcpy(address->sun_path, path.data(), path.size());
  return true;
}

int OpenSocket() { return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); }

}  // namespace

Napi::Function UnixSocket::Define(Napi::Env env) {
  return DefineClass(
      env, "UnixSocket",
      {StaticMethod("listen", &UnixSocket::ListenAt), StaticMethod("connect", &UnixSocket::ConnectTo),
       InstanceMethod("accept", &UnixSocket::Accept), InstanceMethod("send", &UnixSocket::Send),
       InstanceMethod("receive", &UnixSocket::Receive), InstanceMethod("takeDescriptors", &UnixSocket::TakeDescriptors),
       InstanceMethod("credentials", &UnixSocket::Credentials), InstanceMethod("watch", &UnixSocket::Watch),
       InstanceMethod("ref", &UnixSocket::RefHandle), InstanceMethod("unref", &UnixSocket::UnrefHandle),
       InstanceMethod("notify", &UnixSocket::NotifyPeer), InstanceMethod("detach", &UnixSocket::Detach),
       InstanceMethod("close", &UnixSocket::Close)});
}

// Null in a worker that is being terminated: from then on every call of Node-API fails.
UnixSocket* UnixSocket::From(Napi::Value value) { return value.IsEmpty() ? nullptr : Unwrap(value.As<Napi::Object>()); }

UnixSocket::UnixSocket(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<UnixSocket>(info), hub_(AddonState::Of(info.Env())->hub) {
  if (hub_ != nullptr) hub_->AddSocket(this);
}

UnixSocket::~UnixSocket() {
  StopPolling();
  CloseFd();
  if (hub_ != nullptr) hub_->RemoveSocket(this);
}

Napi::Value UnixSocket::Wrap(Napi::Env env, int fd) {
  Napi::Object object = AddonState::Of(env)->socket_class.New({});
  UnixSocket* socket = From(object);
  if (socket == nullptr) {
    close(fd);
    return env.Undefined();
  }
  socket->fd_ = fd;
  return object;
}

Napi::Value UnixSocket::ListenAt(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  sockaddr_un address;
  if (!FillAddress(info[0].As<Napi::String>().Utf8Value(), &address)) return ThrowErrno(env, "bind", ENAMETOOLONG);
  int fd = OpenSocket();
  if (fd < 0) return ThrowErrno(env, "socket", errno);
  const char* failed_call = "bind";
  int result = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  if (result == 0) {
    failed_call = "listen";
    result = listen(fd, 511);
  }
  if (result != 0) {
    const int code = errno;
    close(fd);
    return ThrowErrno(env, failed_call, code);
  }
  Napi::Value object = Wrap(env, fd);
  UnixSocket* listener = From(object);
  if (listener != nullptr) listener->spare_fd_ = open("/dev/null", O_RDONLY | O_CLOEXEC);
  return object;
}

// A Unix socket connects at once or not at all: EAGAIN means that the server's backlog is full.
Napi::Value UnixSocket::ConnectTo(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  sockaddr_un address;
  if (!FillAddress(info[0].As<Napi::String>().Utf8Value(), &address)) return ThrowErrno(env, "connect", ENAMETOOLONG);
  int fd = OpenSocket();
  if (fd < 0) return ThrowErrno(env, "socket", errno);
  int result;
  do {
    result = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  } while (result != 0 && errno == EINTR);
  if (result != 0) {
    const int code = errno;
    close(fd);
    return ThrowErrno(env, "connect", code);
  }
  return Wrap(env, fd);
}

// The next connection, null when none waits, or -errno. Without a free descriptor the spare one is used to accept and
// hang up, because a connection left in the backlog would keep the listener readable and the loop spinning.
Napi::Value UnixSocket::Accept(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int fd;
  do {
    fd = accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
  if (fd >= 0) return Wrap(env, fd);
  const int code = errno;
  if (code == EAGAIN) return env.Null();
  if (code == EMFILE || code == ENFILE) RefuseOne();
  return Napi::Number::New(env, -code);
}

void UnixSocket::RefuseOne() {
  if (spare_fd_ >= 0) close(spare_fd_);
  int fd = accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd >= 0) close(fd);
  spare_fd_ = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

// send(bytes, start, end, ...descriptors): the number of bytes sent, or -errno. A descriptor of -1 means none.
Napi::Value UnixSocket::Send(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Uint8Array bytes = info[0].As<Napi::Uint8Array>();
  const size_t start = info[1].As<Napi::Number>().Uint32Value();
  const size_t end = info[2].As<Napi::Number>().Uint32Value();
  int descriptors[kMaxDescriptors];
  size_t count = 0;
  for (size_t i = 3; i < info.Length() && count < kMaxDescriptors; i++) {
    const int descriptor = info[i].As<Napi::Number>().Int32Value();
    if (descriptor >= 0) descriptors[count++] = descriptor;
  }
  if (end > bytes.ByteLength() || start > end) return Napi::Number::New(env, -EINVAL);

  iovec part = {bytes.Data() + start, end - start};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(descriptors))] = {};
  if (count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    std::memcpy(CMSG_DATA(header), descriptors, sizeof(int) * count);
  }
  ssize_t sent;
  do {
    sent = sendmsg(fd_, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return Napi::Number::New(env, sent >= 0 ? static_cast<double>(sent) : -errno);
}

// receive(bytes, start, end): the number of bytes, 0 at end-of-file, or -errno. Descriptors that came along wait in
// takeDescriptors().
Napi::Value UnixSocket::Receive(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Uint8Array bytes = info[0].As<Napi::Uint8Array>();
  const size_t start = info[1].As<Napi::Number>().Uint32Value();
  const size_t end = info[2].As<Napi::Number>().Uint32Value();
  if (end > bytes.ByteLength() || start >= end) return Napi::Number::New(env, -EINVAL);

  iovec part = {bytes.Data() + start, end - start};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxDescriptors)];
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t received;
  do {
    received = recvmsg(fd_, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return Napi::Number::New(env, -errno);

  if (message.msg_flags & MSG_CTRUNC) truncated_ = true;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int descriptor;
      std::memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      descriptors_.push_back(descriptor);
    }
  }
  return Napi::Number::New(env, static_cast<double>(received));
}

// The descriptors received so far; the caller owns them now. Null when the kernel had to drop some: then all are
// closed.
Napi::Value UnixSocket::TakeDescriptors(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (truncated_) {
    CloseDescriptors();
    return env.Null();
  }
  Napi::Array list = Napi::Array::New(env, descriptors_.size());
  for (size_t i = 0; i < descriptors_.size(); i++)
    list.Set(static_cast<uint32_t>(i), Napi::Number::New(env, descriptors_[i]));
  AddonState::Of(env)->descriptors.insert(descriptors_.begin(), descriptors_.end());
  descriptors_.clear();
  return list;
}

// Who was at the other end when the connection was made, as the kernel knows it.
Napi::Value UnixSocket::Credentials(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  ucred peer;
  socklen_t length = sizeof(peer);
  if (getsockopt(fd_, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return ThrowErrno(env, "getsockopt", errno);
  Napi::Object result = Napi::Object::New(env);
  result.Set("pid", Napi::Number::New(env, peer.pid));
  result.Set("uid", Napi::Number::New(env, peer.uid));
  result.Set("gid", Napi::Number::New(env, peer.gid));
  return result;
}

// watch(callback): calls back whenever the socket is readable or hung up; null stops it. Returns 0 or -errno.
Napi::Value UnixSocket::Watch(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!info[0].IsFunction()) {
    StopPolling();
    return Napi::Number::New(env, 0);
  }
  callback_ = Napi::Persistent(info[0].As<Napi::Function>());
  listener_ = nullptr;
  return Napi::Number::New(env, StartPolling());
}

int UnixSocket::Listen(ReadableListener* listener) {
  listener_ = listener;
  callback_.Reset();
  return StartPolling();
}

int UnixSocket::StartPolling() {
  if (poll_ != nullptr) return 0;
  if (fd_ < 0 || hub_ == nullptr) return -EBADF;
  uv_poll_t* handle = new uv_poll_t;
  handle->data = this;
  int result = uv_poll_init(hub_->loop(), handle, fd_);
  if (result != 0) {
    delete handle;
    return result;
  }
  poll_ = handle;
  if (!is_ref_) uv_unref(reinterpret_cast<uv_handle_t*>(handle));
  uv_poll_start(handle, UV_READABLE | UV_DISCONNECT,
                [](uv_poll_t* poll, int status, int) { static_cast<UnixSocket*>(poll->data)->OnPoll(status); });
  Ref();  // a polled socket is not garbage
  return 0;
}

void UnixSocket::StopPolling() {
  listener_ = nullptr;
  callback_.Reset();
  if (poll_ == nullptr) return;
  uv_poll_t* handle = poll_;
  poll_ = nullptr;
  handle->data = nullptr;
  hub_->CloseHandle(reinterpret_cast<uv_handle_t*>(handle),
                    [](uv_handle_t* closed) { delete reinterpret_cast<uv_poll_t*>(closed); });
  Unref();
}

void UnixSocket::OnPoll(int status) {
  if (listener_ != nullptr) {
    listener_->OnReadable(status);
  } else if (!callback_.IsEmpty()) {
    Napi::HandleScope scope(callback_.Env());
    hub_->Call(callback_.Value(), 0);
  }
}

void UnixSocket::SetRef(bool ref) {
  is_ref_ = ref;
  if (poll_ == nullptr) return;
  if (ref) {
    uv_ref(reinterpret_cast<uv_handle_t*>(poll_));
  } else {
    uv_unref(reinterpret_cast<uv_handle_t*>(poll_));
  }
}

void UnixSocket::RefHandle(const Napi::CallbackInfo&) { SetRef(true); }
void UnixSocket::UnrefHandle(const Napi::CallbackInfo&) { SetRef(false); }

Napi::Value UnixSocket::NotifyPeer(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), Notify()); }

int UnixSocket::Notify() {
  const char bell = 1;
  ssize_t sent;
  do {
    // Not an eventfd: a peer could turn one blocking, and it would not tell us when the peer dies.
    sent = send(fd_, &bell, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent >= 0 || errno == EAGAIN ? 0 : -errno;
}

bool UnixSocket::ClearDoorbell() {
  char bells[512];
  ssize_t received;
  do {
    // One read per wake: the poll is level-triggered, so a storm of bells cannot hold the loop here.
    received = recv(fd_, bells, sizeof(bells), MSG_DONTWAIT);
  } while (received < 0 && errno == EINTR);
  return received > 0 || (received < 0 && errno == EAGAIN);
}

// Gives the descriptor to the caller, who must close it, and forgets it.
Napi::Value UnixSocket::Detach(const Napi::CallbackInfo& info) {
  StopPolling();
  CloseDescriptors();
  const int fd = fd_;
  fd_ = -1;
  return Napi::Number::New(info.Env(), fd);
}

void UnixSocket::Close(const Napi::CallbackInfo&) {
  StopPolling();
  CloseFd();
}

void UnixSocket::CloseDescriptors() {
  for (int descriptor : descriptors_) close(descriptor);
  descriptors_.clear();
}

void UnixSocket::CloseFd() {
  CloseDescriptors();
  if (spare_fd_ >= 0) close(spare_fd_);
  if (fd_ >= 0) close(fd_);
  spare_fd_ = fd_ = -1;
}

void UnixSocket::OnEnvironmentEnd() {
  StopPolling();
  CloseFd();
  hub_ = nullptr;
}

}  // namespace pillion
