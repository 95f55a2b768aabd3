// A Unix stream socket: listen, accept, connect, bytes with descriptors, peer credentials, readiness, and the doorbell.
#ifndef PILLION_UNIX_SOCKET_H_
#define PILLION_UNIX_SOCKET_H_

#include <napi.h>
#include <uv.h>

#include <vector>

namespace pillion {

class LoopHub;

// Whoever wants to know that a socket is readable. A LoopWatch takes this over from the JavaScript callback.
class ReadableListener {
 public:
  virtual void OnReadable(int status) = 0;

 protected:
  ~ReadableListener() = default;
};

// JavaScript: UnixSocket.listen(path), UnixSocket.connect(path), accept(), send(), receive(), takeDescriptors(),
// credentials(), watch(callback), ref(), unref(), detach(), close(). Numbers below 0 are -errno.
class UnixSocket : public Napi::ObjectWrap<UnixSocket> {
 public:
  static Napi::Function Define(Napi::Env env);
  static UnixSocket* From(Napi::Value value);
  explicit UnixSocket(const Napi::CallbackInfo& info);
  ~UnixSocket() override;

  int fd() const { return fd_; }
  // Takes over the readiness events; null gives them up and stops polling.
  int Listen(ReadableListener* listener);
  void StopPolling();
  void SetRef(bool ref);
  // One byte, never blocking: EAGAIN means that the peer has bells enough. Returns 0 or -errno.
  int Notify();
  // Throws away what has arrived. Returns false at end-of-file or on a broken connection.
  bool ClearDoorbell();
  // The hub calls this when the environment ends.
  void OnEnvironmentEnd();

 private:
  static Napi::Value ListenAt(const Napi::CallbackInfo& info);
  static Napi::Value ConnectTo(const Napi::CallbackInfo& info);
  static Napi::Value Wrap(Napi::Env env, int fd);
  Napi::Value Accept(const Napi::CallbackInfo& info);
  Napi::Value Send(const Napi::CallbackInfo& info);
  Napi::Value Receive(const Napi::CallbackInfo& info);
  Napi::Value TakeDescriptors(const Napi::CallbackInfo& info);
  Napi::Value Credentials(const Napi::CallbackInfo& info);
  Napi::Value Watch(const Napi::CallbackInfo& info);
  void RefHandle(const Napi::CallbackInfo& info);
  void UnrefHandle(const Napi::CallbackInfo& info);
  Napi::Value NotifyPeer(const Napi::CallbackInfo& info);
  Napi::Value Detach(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  int StartPolling();
  void RefuseOne();
  void CloseDescriptors();
  void CloseFd();
  void OnPoll(int status);

  LoopHub* hub_ = nullptr;
  uv_poll_t* poll_ = nullptr;  // on the heap: it must outlive this object until its close callback
  ReadableListener* listener_ = nullptr;
  Napi::FunctionReference callback_;
  std::vector<int> descriptors_;
  int fd_ = -1;
  int spare_fd_ = -1;  // listeners only: given up to accept and refuse when no descriptor is free
  bool truncated_ = false;
  bool is_ref_ = true;
};

}  // namespace pillion

#endif  // PILLION_UNIX_SOCKET_H_
