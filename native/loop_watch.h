// Watches one connection for its event loop: data in the inbound ring, space in the outbound ring, doorbell, hang-up.
#ifndef PILLION_LOOP_WATCH_H_
#define PILLION_LOOP_WATCH_H_

#include <napi.h>

#include <memory>

#include "segment.h"
#include "spin_predictor.h"
#include "unix_socket.h"

namespace pillion {

class LoopHub;

// Private words that TypeScript and this class share within one thread (an Int32Array of TypeScript's; no other thread
// or process sees them). Twin: WatchState in src/channel/watch-state.ts.
enum WatchState : uint32_t {
  kReadPosition = 0,  // how far the inbound ring has been read
  kWantsSpace = 1,    // not 0: tell me when the head of the outbound ring moves; 2: a message waits for it
  kCachedHead = 2,    // the head that the producer last saw
  kExpecting = 3,     // not 0: an arrival is expected, so a spin may pay
  kEventCount = 4,    // events read so far; while it moves, the consumer dozes rather than sleeps
  kPaused = 5,        // not 0: do not report data (the reader waits for something else)
  kKeepAlive = 6,     // not 0: the connection should keep the process alive
  kIsRef = 7,         // it does; TypeScript refs at once, the hub unrefs before the loop blocks
  kEager = 8,         // not 0: the rest of a message is on its way, so a spin pays whatever the past says
  kWatchStateWords = 16,
};

// What the callback is told, as bits. Twin: WatchEvent in src/native.ts.
enum WatchEvent : int { kReady = 1, kHangup = 2 };

// JavaScript: new LoopWatch(socket, segment, inboundRing, state, callback); notify(), spin(ns), wait(ms), unpark(),
// ref(), unref(), close().
class LoopWatch : public Napi::ObjectWrap<LoopWatch>, public ReadableListener {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit LoopWatch(const Napi::CallbackInfo& info);
  ~LoopWatch() override;

  void OnReadable(int status) override;

  // Is there something to read, or space that was waited for?
  bool IsReady() const {
    if (state_[kPaused] == 0 && tail_->load(std::memory_order_acquire) != state_[kReadPosition]) return true;
    return state_[kWantsSpace] != 0 && out_head_->load(std::memory_order_acquire) != state_[kCachedHead];
  }
  bool IsExpecting() const { return state_[kExpecting] != 0; }
  // In the middle of a message: the peer reads or writes the next fragment right now.
  bool IsEager() const { return state_[kEager] != 0 || state_[kWantsSpace] == 2; }
  // Announces sleep (docs/protocol.md, "Parking" and "Starving"). False: something came meanwhile, stay awake.
  bool Park(SharedWord::value_type how);
  void Unpark();
  // Tells the peer where this thread runs, if that has changed.
  void PublishCpu(uint32_t cpu) {
    if (cpu == published_cpu_) return;
    published_cpu_ = cpu;
    cpu_->store(cpu, std::memory_order_relaxed);
  }
  // What the peer did when it was last written to, as far as that says something of when it will write.
  SpinPredictor::Peer Peer() const {
    if (has_rung_) return is_client_ ? SpinPredictor::Peer::kWoken : SpinPredictor::Peer::kUnknown;
    const bool has_written = out_tail_->load(std::memory_order_relaxed) != out_tail_at_arrival_;
    return has_written ? SpinPredictor::Peer::kAwake : SpinPredictor::Peer::kUnknown;
  }
  // Something came from the peer.
  void NoteArrival() {
    has_rung_ = false;
    out_tail_at_arrival_ = out_tail_->load(std::memory_order_relaxed);
  }
  // Was the peer last seen on this CPU? Then spinning would only keep it from answering.
  bool IsPeerOn(uint32_t cpu) const { return peer_cpu_->load(std::memory_order_relaxed) == cpu; }
  // Of two sides on one CPU it is the client that moves; if both did, they would meet again.
  bool MayMove() const { return is_client_; }
  // True while events came within the last 100 ms: then the loop dozes, and senders need not ring for events.
  bool IsDozy(uint64_t now_ns);
  // Lets the process end if nothing keeps it: cheaper here than after every call.
  void UnrefIfUnneeded();
  void Deliver(int events);
  void OnEnvironmentEnd();

  // Owned by the hub: which of its lists this watch is in.
  enum class Place { kNone, kHot, kParked, kDozing };
  Place place = Place::kNone;
  uint64_t active_ns = 0;  // when something was last ready
  bool is_hung_up = false;

 private:
  Napi::Value NotifyPeer(const Napi::CallbackInfo& info);
  Napi::Value Spin(const Napi::CallbackInfo& info);
  Napi::Value Wait(const Napi::CallbackInfo& info);
  void WakeUp(const Napi::CallbackInfo& info);
  void RefHandle(const Napi::CallbackInfo& info);
  void UnrefHandle(const Napi::CallbackInfo& info);
  void CloseFromJs(const Napi::CallbackInfo& info);
  void Close();
  void SetRef(bool ref);
  int WaitUntil(uint64_t deadline_ns);

  LoopHub* hub_ = nullptr;
  UnixSocket* socket_ = nullptr;
  Napi::ObjectReference socket_object_;
  std::shared_ptr<Mapping> mapping_;
  SharedWord* tail_ = nullptr;
  SharedWord* parked_ = nullptr;
  SharedWord* out_head_ = nullptr;
  SharedWord* out_tail_ = nullptr;
  SharedWord* out_starved_ = nullptr;
  SharedWord* cpu_ = nullptr;
  SharedWord* peer_cpu_ = nullptr;
  uint32_t published_cpu_ = 0;
  bool is_client_ = false;
  Napi::Reference<Napi::Int32Array> state_array_;
  volatile uint32_t* state_ = nullptr;
  Napi::FunctionReference callback_;
  uint32_t last_event_count_ = 0;
  uint64_t last_event_ns_ = 0;
  bool has_rung_ = false;  // since the last arrival
  uint32_t out_tail_at_arrival_ = 0;
};

}  // namespace pillion

#endif  // PILLION_LOOP_WATCH_H_
