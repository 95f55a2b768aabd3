// Guesses whether a short spin will find the next message, from how long the last waits were.
//
// A spin that hits saves both sides a system call and a wake-up (tens of microseconds); one that misses burns its whole
// limit. So: spin only after several short waits in a row, and back off exponentially while spins miss.
//
// Where a wake-up takes longer than a spin may (virtual machines), two sides that sleep would go on sleeping for ever,
// however dense their traffic: each spins in vain while the other wakes up. So the side that waits for an answer now
// and then spins long enough for that, and the other one takes a peer that needed no doorbell for one that spins.
#ifndef PILLION_SPIN_PREDICTOR_H_
#define PILLION_SPIN_PREDICTOR_H_

#include <algorithm>
#include <cstdint>

namespace pillion {

class SpinPredictor {
 public:
  enum Mode { kAdaptive = 0, kPark = 1, kSpin = 2 };

  // What this side found when it wrote, since something last came from there.
  enum class Peer {
    kUnknown,  // nothing was written
    kAwake,    // it needed no doorbell: perhaps it spins, and goes on at once
    kWoken,    // it slept, and is going to answer after it has woken up
  };

  void Configure(Mode mode, uint64_t limit_ns) {
    mode_ = mode;
    limit_ns_ = limit_ns;
  }

  // How long the spin may last that begins now; 0 means park at once.
  uint64_t BeginSpin(Peer peer) {
    if (mode_ != kAdaptive) return ConfiguredLimitNs();
    if (peer == Peer::kWoken && waits_since_probe_ >= probe_interval_) {
      waits_since_probe_ = 0;
      // Only what follows shows whether it was worth it.
      probe_interval_ = std::min(probe_interval_ * 2, kLongestProbeInterval);
      return kProbeFactor * limit_ns_;
    }
    const int bonus = peer == Peer::kAwake ? kAwakeBonus : 0;
    return score_ + bonus >= kThreshold ? SpinNs() : 0;
  }

  // The longest spin that is allowed at all, but for probes.
  uint64_t ConfiguredLimitNs() const { return mode_ == kPark ? 0 : limit_ns_; }

  // A message came `waited_ns` after the last one was handled, while this side spun or slept.
  void OnArrival(uint64_t waited_ns, bool while_spinning) {
    if (while_spinning && waited_ns <= SpinNs()) {
      score_ = kMaxScore;
      penalty_ = kFirstPenalty;
      probe_interval_ = kFirstProbeInterval;
      waits_since_probe_ += kFirstProbeInterval / 2;
      return;
    }
    if (waited_ns <= kDenseFactor * limit_ns_) {
      waits_since_probe_++;
      if (score_ < 0) score_ = while_spinning ? 0 : score_ + 1;
    }
    if (while_spinning) return;
    last_sleep_ns_ = waited_ns;
    // Asleep, the wait contains the wake-ups of both sides, so a ping-pong of 1 µs looks like one of 20-80 µs.
    if (waited_ns <= kWakeFactor * limit_ns_) {
      if (score_ < kMaxScore) score_++;
    } else if (score_ > 0) {
      score_--;
    }
  }

  // A spin of `limit_ns` found nothing. Probes have a back-off of their own.
  void OnMiss(uint64_t limit_ns) {
    if (limit_ns == kProbeFactor * limit_ns_) return;
    score_ -= penalty_;
    if (score_ < -kMaxPenalty) score_ = -kMaxPenalty;
    if (penalty_ < kMaxPenalty) penalty_ *= 2;
  }

 private:
  // Where sleeping takes long, most of it is two wake-ups, and who waits awake needs only that of the other side: half
  // of it, and what lies between.
  uint64_t SpinNs() const { return std::min(std::max(limit_ns_, last_sleep_ns_ * 2 / 3), kLongestFactor * limit_ns_); }

  static constexpr int kThreshold = 2;
  static constexpr int kMaxScore = 8;
  static constexpr int kAwakeBonus = 16;
  static constexpr int kFirstPenalty = 4;
  static constexpr int kMaxPenalty = 64;
  static constexpr uint64_t kWakeFactor = 3;
  static constexpr uint64_t kLongestFactor = 4;
  // A probe lasts 0.8 ms by default, and both wake-ups may take twice that.
  static constexpr uint64_t kProbeFactor = 16;
  static constexpr uint64_t kDenseFactor = 2 * kProbeFactor;
  static constexpr uint32_t kFirstProbeInterval = 4;
  static constexpr uint32_t kLongestProbeInterval = 256;

  Mode mode_ = kAdaptive;
  uint64_t limit_ns_ = 50000;
  uint64_t last_sleep_ns_ = 0;
  int score_ = 0;
  int penalty_ = kFirstPenalty;
  uint32_t probe_interval_ = kFirstProbeInterval;
  uint32_t waits_since_probe_ = 0;
};

}  // namespace pillion

#endif  // PILLION_SPIN_PREDICTOR_H_
