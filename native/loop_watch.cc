#include "loop_watch.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "addon.h"
#include "error.h"
#include "loop_hub.h"

namespace pillion {

namespace {

constexpr uint64_t kDozyNs = 100000000;  // events within this time: doze rather than sleep

}  // namespace

Napi::Function LoopWatch::Define(Napi::Env env) {
  return DefineClass(env, "LoopWatch",
                     {InstanceMethod("notify", &LoopWatch::NotifyPeer), InstanceMethod("spin", &LoopWatch::Spin),
                      InstanceMethod("wait", &LoopWatch::Wait), InstanceMethod("unpark", &LoopWatch::WakeUp),
                      InstanceMethod("ref", &LoopWatch::RefHandle), InstanceMethod("unref", &LoopWatch::UnrefHandle),
                      InstanceMethod("close", &LoopWatch::CloseFromJs)});
}

LoopWatch::LoopWatch(const Napi::CallbackInfo& info) : Napi::ObjectWrap<LoopWatch>(info) {
  Napi::Env env = info.Env();
  UnixSocket* socket = UnixSocket::From(info[0]);
  Segment* segment = Segment::From(info[1]);
  if (socket == nullptr || segment == nullptr) return;
  socket_ = socket;
  socket_object_ = Napi::Persistent(info[0].As<Napi::Object>());
  mapping_ = segment->mapping();
  const int inbound = info[2].As<Napi::Number>().Int32Value();
  Napi::Int32Array state = info[3].As<Napi::Int32Array>();
  if (mapping_ == nullptr || !mapping_->is_mapped() || state.Data() == nullptr ||
      state.ElementLength() < kWatchStateWords) {
    ThrowErrno(env, "LoopWatch", EINVAL);
    return;
  }
  state_array_ = Napi::Reference<Napi::Int32Array>::New(state, 1);
  state_ = reinterpret_cast<volatile uint32_t*>(state.Data());
  callback_ = Napi::Persistent(info[4].As<Napi::Function>());
  tail_ = mapping_->word(inbound, kTailOffset);
  parked_ = mapping_->word(inbound, kParkedOffset);
  out_head_ = mapping_->word(1 - inbound, kHeadOffset);
  out_tail_ = mapping_->word(1 - inbound, kTailOffset);
  out_starved_ = mapping_->word(1 - inbound, kStarvedOffset);
  cpu_ = mapping_->word(inbound, kCpuOffset);
  peer_cpu_ = mapping_->word(1 - inbound, kCpuOffset);
  is_client_ = inbound == 1;

  LoopHub* hub = AddonState::Of(env)->hub;
  const int result = socket_->Listen(this);
  if (result != 0) {
    ThrowErrno(env, "uv_poll_start", -result);
    return;
  }
  hub_ = hub;
  hub_->AddWatch(this);
  SetRef(false);
  Ref();  // an open watch is not garbage
}

LoopWatch::~LoopWatch() {
  if (hub_ != nullptr) hub_->RemoveWatch(this);
}

bool LoopWatch::Park(SharedWord::value_type how) {
  // seq_cst store, then seq_cst load: the partner stores tail, then loads parked. One of the two sees the other,
  // or both sides sleep (io_uring's lost wake-up).
  parked_->store(how, std::memory_order_seq_cst);
  if (state_[kWantsSpace] != 0) out_starved_->store(1, std::memory_order_seq_cst);
  const bool data = state_[kPaused] == 0 && tail_->load(std::memory_order_seq_cst) != state_[kReadPosition];
  const bool space = state_[kWantsSpace] != 0 && out_head_->load(std::memory_order_seq_cst) != state_[kCachedHead];
  if (!data && !space) return true;
  parked_->store(kAwake, std::memory_order_seq_cst);
  return false;
}

void LoopWatch::Unpark() {
  parked_->store(kAwake, std::memory_order_seq_cst);
  hub_->MakeHot(this);
}

bool LoopWatch::IsDozy(uint64_t now_ns) {
  if (state_[kEventCount] != last_event_count_) {
    last_event_count_ = state_[kEventCount];
    last_event_ns_ = now_ns;
  }
  return last_event_ns_ != 0 && now_ns - last_event_ns_ < kDozyNs;
}

// The order matters: bell, then parked, then the ring. Clearing the bell last could clear one that belongs to a later
// record.
void LoopWatch::OnReadable(int status) {
  const bool alive = socket_->ClearDoorbell() && status >= 0;
  Unpark();
  if (!alive) {
    is_hung_up = true;
    socket_->StopPolling();
    Deliver(kHangup | kReady);
    return;
  }
  // The prepare hook of this turn would do as well, but other descriptors may be served before it.
  if (IsReady()) {
    hub_->NoteArrival(false);
    Deliver(kReady);
  }
}

void LoopWatch::Deliver(int events) {
  if (callback_.IsEmpty()) return;
  NoteArrival();
  Napi::HandleScope scope(callback_.Env());
  hub_->Call(callback_.Value(), events);
}

Napi::Value LoopWatch::NotifyPeer(const Napi::CallbackInfo& info) {
  has_rung_ = true;
  return Napi::Number::New(info.Env(), hub_ == nullptr ? -EBADF : socket_->Notify());
}

// spin(ns): true if this watch became ready. Without an argument the hub decides how long, by recent waits.
Napi::Value LoopWatch::Spin(const Napi::CallbackInfo& info) {
  bool ready = false;
  if (hub_ != nullptr) {
    ready = info.Length() == 0
                ? hub_->SpinAdaptively(this)
                : hub_->SpinFor(
                      this, std::min<uint64_t>(info[0].As<Napi::Number>().Uint32Value(), hub_->spin_limit_ns()), true);
  }
  return Napi::Boolean::New(info.Env(), ready);
}

// wait(ms): blocks this thread until the watch is ready (1), the time is over (0), or the peer hung up and nothing is
// left (-1).
Napi::Value LoopWatch::Wait(const Napi::CallbackInfo& info) {
  if (hub_ == nullptr) return Napi::Number::New(info.Env(), -1);
  const double ms = info[0].As<Napi::Number>().DoubleValue();
  return Napi::Number::New(info.Env(), WaitUntil(uv_hrtime() + static_cast<uint64_t>(ms * 1e6)));
}

int LoopWatch::WaitUntil(uint64_t deadline_ns) {
  // Hot from here on: whichever way this ends, `parked` is 0 then, and the loop must look for itself before it blocks.
  Unpark();
  const uint64_t start = uv_hrtime();
  if (start < deadline_ns && hub_->SpinBlocking(this, deadline_ns - start)) return 1;
  for (;;) {
    if (IsReady()) {
      hub_->NoteArrivalAt(this, uv_hrtime() - start, false);
      return 1;
    }
    if (is_hung_up) return -1;
    const uint64_t now = uv_hrtime();
    if (now >= deadline_ns) return 0;
    if (!Park(kAsleep)) return 1;
    pollfd readable = {socket_->fd(), POLLIN, 0};
    const uint64_t left_ms = (deadline_ns - now + 999999) / 1000000;
    const int result = poll(&readable, 1, static_cast<int>(std::min<uint64_t>(left_ms, 1000)));
    if (result > 0 && !socket_->ClearDoorbell()) is_hung_up = true;
    Unpark();
  }
}

void LoopWatch::WakeUp(const Napi::CallbackInfo&) {
  if (hub_ != nullptr) Unpark();
}

void LoopWatch::SetRef(bool ref) {
  if (hub_ == nullptr) return;
  state_[kIsRef] = ref ? 1 : 0;
  socket_->SetRef(ref);
}

void LoopWatch::UnrefIfUnneeded() {
  if (state_[kIsRef] != 0 && state_[kKeepAlive] == 0) SetRef(false);
}

void LoopWatch::RefHandle(const Napi::CallbackInfo&) { SetRef(true); }
void LoopWatch::UnrefHandle(const Napi::CallbackInfo&) { SetRef(false); }

void LoopWatch::CloseFromJs(const Napi::CallbackInfo&) { Close(); }

void LoopWatch::Close() {
  if (hub_ == nullptr) return;
  socket_->StopPolling();
  hub_->RemoveWatch(this);
  hub_ = nullptr;
  callback_.Reset();
  state_array_.Reset();
  socket_object_.Reset();
  mapping_.reset();
  Unref();
}

void LoopWatch::OnEnvironmentEnd() { hub_ = nullptr; }

}  // namespace pillion
