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
#include <new>
#include <vector>

#include "samples.h"

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

// No process may outlive its parent, nor spin for ever should its partner hang.
inline void LimitLife(const Options& options) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  alarm(static_cast<unsigned>((options.warmup_ns + options.duration_ns) / 1'000'000'000) + 5);
}

// Of memory that parent and child share after fork.
inline void* MapShared(size_t length) {
  void* memory = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) Fail("mmap");
  return memory;
}

// Runs `child` in a second process that dies with this one.
template <typename Child>
pid_t Fork(const Options& options, Child child) {
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) Fail("fork");
  if (pid == 0) {
    LimitLife(options);
    // The parent may have died before its death could be a signal.
    _exit(getppid() == parent ? child() : 1);
  }
  return pid;
}

inline bool EndedWell(pid_t child) {
  int status = 0;
  return waitpid(child, &status, 0) == child && status == 0;
}

// Waits for `condition`, spinning. False: the other side has finished before.
template <typename Condition>
bool SpinUntil(const std::atomic<uint32_t>& finished, Condition condition) {
  for (uint32_t spins = 0; !condition(); spins++) {
    if (spins < kSpinsBeforeYield) continue;
    if (finished.load(std::memory_order_acquire) != 0) return condition();
    sched_yield();
    spins = 0;
  }
  return true;
}

// Repeats `operation` until the time is over and samples every batch, but not the rest before it nor the sampling
// itself. False: an operation failed.
template <typename Rest, typename Operation>
bool RunFor(uint64_t duration_ns, uint32_t batch, Samples* samples, Rest rest, Operation operation) {
  uint64_t now = NowNs();
  for (const uint64_t end = now + duration_ns; now < end;) {
    rest();
    const uint64_t begun = NowNs();
    for (uint32_t i = 0; i < batch; i++) {
      if (!operation()) return false;
    }
    now = NowNs();
    samples->Add(now - begun);
  }
  return true;
}

inline void NoRest() {}

// Warms up, measures, prints. `finish` ends the child, whose CPU time can be known only then, and says whether all was
// well. Returns the exit code.
template <typename Operation, typename Finish, typename Rest = void (*)()>
int Measure(const Options& options, Operation operation, Finish finish, Rest rest = NoRest) {
  Samples samples;
  const uint64_t start = NowNs();
  bool is_intact = RunFor(options.warmup_ns, options.batch, &samples, rest, operation);
  samples.Clear();
  const uint64_t cpu_before = CpuUs(RUSAGE_SELF);
  const uint64_t begun = NowNs();
  is_intact = is_intact && RunFor(options.duration_ns, options.batch, &samples, rest, operation);
  const uint64_t end = NowNs();
  const uint64_t cpu_self = CpuUs(RUSAGE_SELF) - cpu_before;
  if (!finish() || !is_intact) {
    std::fprintf(stderr, "something arrived damaged, or not at all\n");
    return 1;
  }
  // The child has worked through the warm-up too; count the share that belongs to the measured time.
  const double share = static_cast<double>(end - begun) / static_cast<double>(end - start);
  const double cpu_child = static_cast<double>(CpuUs(RUSAGE_CHILDREN)) * share;
  samples.Print(options.batch, end - begun, cpu_self + static_cast<uint64_t>(cpu_child));
  return 0;
}

#endif  // PILLION_BENCH_COMMON_H_
