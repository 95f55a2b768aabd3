// On which CPU this thread runs, and a way off it.
//
// The kernel likes to wake the receiver of a message on the CPU of its sender, because there its data is warm and the
// sender is expected to sleep. A sender that spins for the answer does not sleep: it keeps the receiver from running,
// and the balancer needs many milliseconds to see it. So whoever finds its peer on its own CPU moves, once, to
// wherever the kernel puts it, and is free to be moved back from then on.
#ifndef PILLION_CPU_PLACE_H_
#define PILLION_CPU_PLACE_H_

#include <sched.h>

#include <cstdint>

namespace pillion {

class CpuPlace {
 public:
  // The CPU that this thread runs on, plus 1; 0 if the kernel does not say.
  static uint32_t Current() { return static_cast<uint32_t>(sched_getcpu() + 1); }

  // Moves this thread to another CPU than `cpu`, if it may use one and has not moved lately. True: it is elsewhere now.
  bool TryLeave(uint32_t cpu, uint64_t now_ns) {
    if (now_ns < next_move_ns_ || cpu == 0) return false;
    // A machine on which we keep meeting has no CPU to spare: each move makes the next one rarer.
    backoff_ns_ = now_ns - next_move_ns_ > kForgetNs ? kFirstBackoffNs : backoff_ns_ * 2;
    if (backoff_ns_ > kLongestBackoffNs) backoff_ns_ = kLongestBackoffNs;
    next_move_ns_ = now_ns + backoff_ns_;
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0 || CPU_COUNT(&allowed) < 2) return false;
    cpu_set_t others = allowed;
    CPU_CLR(cpu - 1, &others);
    if (sched_setaffinity(0, sizeof(others), &others) != 0) return false;
    sched_setaffinity(0, sizeof(allowed), &allowed);
    return Current() != cpu;
  }

 private:
  static constexpr uint64_t kFirstBackoffNs = 1000000;
  static constexpr uint64_t kLongestBackoffNs = 1000000000;
  static constexpr uint64_t kForgetNs = 2000000000;

  uint64_t next_move_ns_ = 0;
  uint64_t backoff_ns_ = kFirstBackoffNs;
};

}  // namespace pillion

#endif  // PILLION_CPU_PLACE_H_
