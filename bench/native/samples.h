// Durations counted by value: a long run needs no more memory or output than a short one.
#ifndef PILLION_BENCH_SAMPLES_H_
#define PILLION_BENCH_SAMPLES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <vector>

// Up to 4095 ns each value has a counter of its own; above, each doubling has 2048 of them, which keeps three
// significant digits, as the histogram that reads them does. Adding is a few instructions and never allocates.
class Samples {
 public:
  void Add(uint64_t ns) { counts_[IndexOf(ns)]++; }

  void Clear() { std::fill(counts_.begin(), counts_.end(), 0); }

  void Print(uint32_t batch, uint64_t elapsed_ns, uint64_t cpu_us) const {
    uint64_t total = 0;
    for (const uint64_t count : counts_) total += count;
    std::printf("{\"count\":%llu,\"elapsedNs\":%llu,\"cpuUs\":%llu,\"batch\":%u,\"samples\":[", Long(total * batch),
                Long(elapsed_ns), Long(cpu_us), batch);
    const char* separator = "";
    for (size_t index = 0; index < counts_.size(); index++) {
      if (counts_[index] == 0) continue;
      std::printf("%s[%llu,%llu]", separator, Long(ValueAt(index)), Long(counts_[index]));
      separator = ",";
    }
    std::printf("]}\n");
  }

 private:
  static constexpr int kExactBits = 12;
  static constexpr size_t kSteps = 1 << (kExactBits - 1);
  static constexpr size_t kCounters = (64 - kExactBits + 2) * kSteps;

  static size_t IndexOf(uint64_t ns) {
    const int bits = ns == 0 ? 0 : 64 - __builtin_clzll(ns);
    const int shift = bits <= kExactBits ? 0 : bits - kExactBits;
    return static_cast<size_t>(shift) * kSteps + static_cast<size_t>(ns >> shift);
  }

  static uint64_t ValueAt(size_t index) {
    const size_t shift = index < 2 * kSteps ? 0 : index / kSteps - 1;
    return static_cast<uint64_t>(index - shift * kSteps) << shift;
  }

  // What %llu wants, whichever type uint64_t is.
  static unsigned long long Long(uint64_t value) { return value; }

  std::vector<uint64_t> counts_ = std::vector<uint64_t>(kCounters);
};

#endif  // PILLION_BENCH_SAMPLES_H_
