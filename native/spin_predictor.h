// Guesses whether a short spin will find the next message, from how long the last waits were.
//
// A spin that hits saves both sides a system call and a wake-up (tens of microseconds); one that misses burns its whole
// limit. So: spin only after several short waits in a row, and back off exponentially while spins miss.
#ifndef PILLION_SPIN_PREDICTOR_H_
#define PILLION_SPIN_PREDICTOR_H_

#include <cstdint>

namespace pillion {

class SpinPredictor {
 public:
  enum Mode { kAdaptive = 0, kPark = 1, kSpin = 2 };

  void Configure(Mode mode, uint64_t limit_ns) {
    mode_ = mode;
    limit_ns_ = limit_ns;
  }

  // How long the next spin may last; 0 means park at once.
  uint64_t LimitNs() const {
    if (mode_ == kPark) return 0;
    if (mode_ == kSpin) return limit_ns_;
    return score_ >= kThreshold ? limit_ns_ : 0;
  }

  // The longest spin that is allowed at all.
  uint64_t ConfiguredLimitNs() const { return mode_ == kPark ? 0 : limit_ns_; }

  // A message came `waited_ns` after the last one was handled, while this side spun or slept.
  void OnArrival(uint64_t waited_ns, bool while_spinning) {
    if (while_spinning) {
      score_ = kMaxScore;
      penalty_ = kFirstPenalty;
      return;
    }
    // Asleep, the wait contains the wake-ups of both sides, so a ping-pong of 1 µs looks like one of 20-80 µs.
    if (waited_ns <= kWakeFactor * limit_ns_) {
      if (score_ < kMaxScore) score_++;
    } else if (score_ > 0) {
      score_--;
    }
  }

  void OnMiss() {
    score_ -= penalty_;
    if (score_ < -kMaxPenalty) score_ = -kMaxPenalty;
    if (penalty_ < kMaxPenalty) penalty_ *= 2;
  }

 private:
  static constexpr int kThreshold = 2;
  static constexpr int kMaxScore = 8;
  static constexpr int kFirstPenalty = 4;
  static constexpr int kMaxPenalty = 64;
  static constexpr uint64_t kWakeFactor = 3;

  Mode mode_ = kAdaptive;
  uint64_t limit_ns_ = 50000;
  int score_ = 0;
  int penalty_ = kFirstPenalty;
};

}  // namespace pillion

#endif  // PILLION_SPIN_PREDICTOR_H_
