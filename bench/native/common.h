// What the programs that measure the machine share: CPUs, clocks, samples, and not outliving their parent.
#ifndef PILLION_BENCH_COMMON_H_
#define PILLION_BENCH_COMMON_H_

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <new>
#include <vector>

// On one CPU the peer can only run when the spinning process lets it.
constexpr uint32_t kSpinsBeforeYield = 1 << 16;

struct Options {
  uint32_t payload_length;
  uint64_t gap_ns;
  uint64_t warmup_ns;
  uint64_t duration_ns;
  // Operations per sample.
  uint32_t batch;
};

inline uint64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

inline uint64_t CpuUs(int who) {
  rusage usage;
  getrusage(who, &usage);
  return static_cast<uint64_t>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1'000'000 +
         static_cast<uint64_t>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

// Each process gets a CPU of its own, where there are two: the scheduler may otherwise leave both on one for a while,
// and a spinning process then waits for its partner's time slice.
inline void PinToCpu(int wanted) {
  cpu_set_t usable;
  if (sched_getaffinity(0, sizeof usable, &usable) != 0) return;
  for (int cpu = 0, seen = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &usable) || seen++ != wanted) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
    return;
  }
}

[[noreturn]] inline void Fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

// Of memory that parent and child share after fork.
inline void* MapShared(size_t length) {
  void* memory = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) Fail("mmap");
  return memory;
}

// Runs `child` in a second process that dies with this one.
template <typename Child>
pid_t Fork(Child child) {
  const pid_t pid = fork();
  if (pid < 0) Fail("fork");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    _exit(child());
  }
  return pid;
}

inline bool EndedWell(pid_t child) {
  int status = 0;
  return waitpid(child, &status, 0) == child && status == 0;
}

// Durations of batches in nanoseconds, counted by value: a long run needs no more memory or output than a short one.
class Samples {
 public:
  void Add(uint64_t ns) {
    // Three significant digits, as the histogram that reads them keeps.
    uint64_t unit = 1;
    while (ns / unit >= 4096) unit *= 2;
    counts_[ns / unit * unit]++;
    total_++;
  }
  void Clear() {
    counts_.clear();
    total_ = 0;
  }

  void Print(const Options& options, uint64_t elapsed_ns, uint64_t cpu_us) const {
    std::printf("{\"count\":%llu,\"elapsedNs\":%llu,\"cpuUs\":%llu,\"batch\":%u,\"samples\":[",
                static_cast<unsigned long long>(total_ * options.batch), static_cast<unsigned long long>(elapsed_ns),
                static_cast<unsigned long long>(cpu_us), options.batch);
    const char* separator = "";
    for (const auto& [ns, count] : counts_) {
      std::printf("%s[%llu,%llu]", separator, static_cast<unsigned long long>(ns),
                  static_cast<unsigned long long>(count));
      separator = ",";
    }
    std::printf("]}\n");
  }

 private:
  std::map<uint64_t, uint64_t> counts_;
  uint64_t total_ = 0;
};

// Repeats `operation` until the time is over and samples every batch. False: an operation failed.
template <typename Operation>
bool RunFor(uint64_t duration_ns, uint32_t batch, Samples* samples, Operation operation) {
  const uint64_t end = NowNs() + duration_ns;
  for (uint64_t begun = NowNs(); begun < end;) {
    for (uint32_t i = 0; i < batch; i++) {
      if (!operation()) return false;
    }
    const uint64_t now = NowNs();
    samples->Add(now - begun);
    begun = now;
  }
  return true;
}

// Warms up, measures, prints. `finish` runs before the CPU time of a child can be known, and says whether all was well.
template <typename Operation, typename Finish>
int Measure(const Options& options, Operation operation, Finish finish) {
  Samples samples;
  bool intact = RunFor(options.warmup_ns, options.batch, &samples, operation);
  samples.Clear();
  const uint64_t cpu_before = CpuUs(RUSAGE_SELF);
  const uint64_t begun = NowNs();
  intact = intact && RunFor(options.duration_ns, options.batch, &samples, operation);
  const uint64_t elapsed = NowNs() - begun;
  const uint64_t cpu_self = CpuUs(RUSAGE_SELF) - cpu_before;
  if (!finish() || !intact) return 1;
  // The child has worked through the warm-up too; count the share that belongs to the measured time.
  const double share =
      static_cast<double>(options.duration_ns) / static_cast<double>(options.warmup_ns + options.duration_ns);
  samples.Print(options, elapsed,
                cpu_self + static_cast<uint64_t>(static_cast<double>(CpuUs(RUSAGE_CHILDREN)) * share));
  return 0;
}

#endif  // PILLION_BENCH_COMMON_H_
