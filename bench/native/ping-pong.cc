// The physical limit of the machine, for comparison: two processes exchange framed records through two rings in shared
// memory and do nothing but spin. No system call, no sleep, no JavaScript.
//
//   ping-pong <payload bytes> <warm-up ms> <duration ms> <round trips per sample>
//
// Prints one line of JSON. Exits with 1 when a payload arrived damaged.

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

namespace {

constexpr uint32_t kCapacity = 64 * 1024;
constexpr uint32_t kHeaderLength = 16;
constexpr uint32_t kReplyMark = 0x6c8e9cf5;
// On one CPU the peer can only run when the spinning process lets it.
constexpr uint32_t kSpinsBeforeYield = 1 << 16;

struct Ring {
  alignas(128) std::atomic<uint32_t> tail{0};  // written by the producer only
  // Written by the consumer only. Nobody reads it in a ping-pong, which never fills a ring; a real one has to publish
  // it.
  alignas(128) std::atomic<uint32_t> head{0};
  alignas(128) unsigned char data[kCapacity];
};

struct Segment {
  Ring requests;
  Ring replies;
  alignas(128) std::atomic<uint32_t> finished{0};
};

uint32_t RecordLength(uint32_t payload_length) { return (kHeaderLength + payload_length + 7) & ~7u; }

// Every word of the payload depends on the sequence number, and every word is compared on arrival.
uint64_t PayloadWord(uint32_t sequence, uint32_t mark, uint32_t index) {
  return (static_cast<uint64_t>(sequence ^ mark) << 32) | (sequence + index);
}

// All records of a run have the same length, so a ring is a row of equal slots and a sequence number names its slot.
class Positions {
 public:
  explicit Positions(uint32_t payload_length) : length_(RecordLength(payload_length)), records_(kCapacity / length_) {}
  uint32_t Offset(uint32_t sequence) const { return sequence % records_ * length_; }

 private:
  uint32_t length_;
  uint32_t records_;
};

class Producer {
 public:
  Producer(Ring* ring, uint32_t payload_length, uint32_t mark)
      : ring_(ring), positions_(payload_length), payload_length_(payload_length), mark_(mark) {}

  void Write(uint32_t sequence) {
    unsigned char* record = ring_->data + positions_.Offset(sequence);
    const uint32_t header[4] = {payload_length_, mark_, sequence, 0};
    std::memcpy(record, header, sizeof header);
    for (uint32_t index = 0; index < payload_length_ / 8; index++) {
      const uint64_t word = PayloadWord(sequence, mark_, index);
      std::memcpy(record + kHeaderLength + index * 8, &word, sizeof word);
    }
    // Release pairs with the consumer's acquire: whoever sees the new tail sees the whole record.
    ring_->tail.store(sequence, std::memory_order_release);
  }

 private:
  Ring* ring_;
  Positions positions_;
  uint32_t payload_length_;
  uint32_t mark_;
};

class Consumer {
 public:
  Consumer(Ring* ring, uint32_t payload_length, uint32_t mark)
      : ring_(ring), positions_(payload_length), payload_length_(payload_length), mark_(mark) {}

  // False: the other side has finished.
  bool Wait(uint32_t sequence, const std::atomic<uint32_t>& finished) const {
    for (uint32_t spins = 0; ring_->tail.load(std::memory_order_acquire) != sequence; spins++) {
      if (spins < kSpinsBeforeYield) continue;
      if (finished.load(std::memory_order_acquire) != 0) return false;
      sched_yield();
      spins = 0;
    }
    return true;
  }

  bool Verify(uint32_t sequence) {
    const unsigned char* record = ring_->data + positions_.Offset(sequence);
    uint32_t header[4];
    std::memcpy(header, record, sizeof header);
    uint64_t difference = (header[0] ^ payload_length_) | (header[1] ^ mark_) | (header[2] ^ sequence);
    for (uint32_t index = 0; index < payload_length_ / 8; index++) {
      uint64_t word;
      std::memcpy(&word, record + kHeaderLength + index * 8, sizeof word);
      difference |= word ^ PayloadWord(sequence, mark_, index);
    }
    ring_->head.store(sequence, std::memory_order_release);
    return difference == 0;
  }

 private:
  Ring* ring_;
  Positions positions_;
  uint32_t payload_length_;
  uint32_t mark_;
};

uint64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

uint64_t CpuUs(int who) {
  rusage usage;
  getrusage(who, &usage);
  return static_cast<uint64_t>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1'000'000 +
         static_cast<uint64_t>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

// Each process gets a CPU of its own, where there are two: the scheduler may otherwise leave both on one for a while,
// and a spinning process then waits for its partner's time slice.
void PinToCpu(int wanted) {
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

[[noreturn]] void Fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

int Echo(Segment* segment, uint32_t payload_length) {
  Consumer requests(&segment->requests, payload_length, 0);
  Producer replies(&segment->replies, payload_length, kReplyMark);
  for (uint32_t sequence = 1;; sequence++) {
    if (!requests.Wait(sequence, segment->finished)) return 0;
    if (!requests.Verify(sequence)) {
      segment->finished.store(1, std::memory_order_release);
      return 1;
    }
    replies.Write(sequence);
  }
}

class Caller {
 public:
  Caller(Segment* segment, uint32_t payload_length)
      : requests_(&segment->requests, payload_length, 0),
        replies_(&segment->replies, payload_length, kReplyMark),
        finished_(segment->finished) {}

  // Appends the duration of every `batch` round trips, in nanoseconds, until the time is over.
  bool Run(uint64_t duration_ns, uint32_t batch, std::vector<uint32_t>* samples) {
    const uint64_t end = NowNs() + duration_ns;
    for (uint64_t begun = NowNs(); begun < end;) {
      for (uint32_t i = 0; i < batch; i++) {
        sequence_++;
        requests_.Write(sequence_);
        if (!replies_.Wait(sequence_, finished_) || !replies_.Verify(sequence_)) return false;
      }
      const uint64_t now = NowNs();
      samples->push_back(static_cast<uint32_t>(now - begun));
      begun = now;
    }
    return true;
  }

 private:
  Producer requests_;
  Consumer replies_;
  const std::atomic<uint32_t>& finished_;
  uint32_t sequence_ = 0;
};

void Print(const std::vector<uint32_t>& samples, uint32_t batch, uint64_t elapsed_ns, uint64_t cpu_us) {
  std::printf("{\"count\":%llu,\"elapsedNs\":%llu,\"cpuUs\":%llu,\"batchNs\":[",
              static_cast<unsigned long long>(samples.size()) * batch, static_cast<unsigned long long>(elapsed_ns),
              static_cast<unsigned long long>(cpu_us));
  for (size_t i = 0; i < samples.size(); i++) std::printf(i == 0 ? "%u" : ",%u", samples[i]);
  std::printf("]}\n");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: ping-pong <payload bytes> <warm-up ms> <duration ms> <round trips per sample>\n");
    return 2;
  }
  const uint32_t payload_length = static_cast<uint32_t>(std::atoi(argv[1])) & ~7u;
  const uint64_t warmup_ns = static_cast<uint64_t>(std::atoi(argv[2])) * 1'000'000;
  const uint64_t duration_ns = static_cast<uint64_t>(std::atoi(argv[3])) * 1'000'000;
  const uint32_t batch = static_cast<uint32_t>(std::atoi(argv[4]));
  if (payload_length == 0 || RecordLength(payload_length) > kCapacity || batch == 0) return 2;

  // Neither process may outlive a lost partner.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  alarm(static_cast<unsigned>((warmup_ns + duration_ns) / 1'000'000'000) + 5);
  void* memory = mmap(nullptr, sizeof(Segment), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) Fail("mmap");
  Segment* segment = new (memory) Segment;

  const pid_t child = fork();
  if (child < 0) Fail("fork");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    PinToCpu(1);
    _exit(Echo(segment, payload_length));
  }
  PinToCpu(0);

  Caller caller(segment, payload_length);
  std::vector<uint32_t> samples;
  samples.reserve(1 << 20);
  bool intact = caller.Run(warmup_ns, batch, &samples);
  samples.clear();
  const uint64_t cpu_before = CpuUs(RUSAGE_SELF);
  const uint64_t begun = NowNs();
  intact = intact && caller.Run(duration_ns, batch, &samples);
  const uint64_t elapsed = NowNs() - begun;
  const uint64_t cpu_self = CpuUs(RUSAGE_SELF) - cpu_before;

  segment->finished.store(1, std::memory_order_release);
  int status = 0;
  waitpid(child, &status, 0);
  if (!intact || status != 0) return 1;
  // The echo process has worked through the warm-up too; count the share that belongs to the measured time.
  const double share = static_cast<double>(duration_ns) / static_cast<double>(warmup_ns + duration_ns);
  const double cpu_child = static_cast<double>(CpuUs(RUSAGE_CHILDREN)) * share;
  Print(samples, batch, elapsed, cpu_self + static_cast<uint64_t>(cpu_child));
  return 0;
}
