// Framed records in shared memory between one producer and one consumer, as plain as it can be done: what pillion's
// rings are held against.
#ifndef PILLION_BENCH_RING_H_
#define PILLION_BENCH_RING_H_

#include "common.h"

constexpr uint32_t kHeaderLength = 16;
constexpr uint32_t kLeastDataLength = 256 * 1024;
constexpr uint32_t kLeastRecords = 4;

inline uint32_t RecordLength(uint32_t payload_length) { return (kHeaderLength + payload_length + 7) & ~7u; }

// All records of a run have the same length, so a ring is a row of equal slots and a sequence number names its slot.
inline uint32_t RecordCount(uint32_t payload_length) {
  const uint32_t count = kLeastDataLength / RecordLength(payload_length);
  return count < kLeastRecords ? kLeastRecords : count;
}

// Every word of the payload depends on the sequence number, and every word is compared on arrival.
inline uint64_t PayloadWord(uint32_t sequence, uint32_t mark, uint32_t index) {
  return (static_cast<uint64_t>(sequence ^ mark) << 32) | (sequence + index);
}

struct Ring {
  alignas(128) std::atomic<uint32_t> tail{0};  // written by the producer only
  alignas(128) std::atomic<uint32_t> head{0};  // written by the consumer only
  alignas(128) std::atomic<uint32_t> finished{0};
  alignas(128) unsigned char data[1];

  static Ring* Map(uint32_t payload_length) {
    const size_t length =
        sizeof(Ring) + static_cast<size_t>(RecordLength(payload_length)) * RecordCount(payload_length);
    return new (MapShared(length)) Ring;
  }
};

// False: the other side has finished.
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

class Producer {
 public:
  Producer(Ring* ring, uint32_t payload_length, uint32_t mark)
      : ring_(ring), payload_length_(payload_length), mark_(mark) {}

  bool HasRoom() {
    if (sequence_ - cached_head_ < RecordCount(payload_length_)) return true;
    cached_head_ = ring_->head.load(std::memory_order_acquire);
    return sequence_ - cached_head_ < RecordCount(payload_length_);
  }

  void Write() {
    sequence_++;
    unsigned char* record = ring_->data + Offset();
    const uint32_t header[4] = {payload_length_, mark_, sequence_, 0};
    std::memcpy(record, header, sizeof header);
    for (uint32_t index = 0; index < payload_length_ / 8; index++) {
      const uint64_t word = PayloadWord(sequence_, mark_, index);
      std::memcpy(record + kHeaderLength + index * 8, &word, sizeof word);
    }
    // Release pairs with the consumer's acquire: whoever sees the new tail sees the whole record.
    ring_->tail.store(sequence_, std::memory_order_release);
  }

 private:
  size_t Offset() const {
    return static_cast<size_t>(sequence_ % RecordCount(payload_length_)) * RecordLength(payload_length_);
  }

  Ring* ring_;
  uint32_t payload_length_;
  uint32_t mark_;
  uint32_t sequence_ = 0;
  uint32_t cached_head_ = 0;
};

class Consumer {
 public:
  Consumer(Ring* ring, uint32_t payload_length, uint32_t mark)
      : ring_(ring), payload_length_(payload_length), mark_(mark) {}

  bool HasRecord() {
    if (cached_tail_ != sequence_) return true;
    cached_tail_ = ring_->tail.load(std::memory_order_acquire);
    return cached_tail_ != sequence_;
  }

  // False: the record is damaged.
  bool Read() {
    sequence_++;
    const unsigned char* record =
        ring_->data + static_cast<size_t>(sequence_ % RecordCount(payload_length_)) * RecordLength(payload_length_);
    uint32_t header[4];
    std::memcpy(header, record, sizeof header);
    uint64_t difference = (header[0] ^ payload_length_) | (header[1] ^ mark_) | (header[2] ^ sequence_);
    for (uint32_t index = 0; index < payload_length_ / 8; index++) {
      uint64_t word;
      std::memcpy(&word, record + kHeaderLength + index * 8, sizeof word);
      difference |= word ^ PayloadWord(sequence_, mark_, index);
    }
    ring_->head.store(sequence_, std::memory_order_release);
    return difference == 0;
  }

 private:
  Ring* ring_;
  uint32_t payload_length_;
  uint32_t mark_;
  uint32_t sequence_ = 0;
  uint32_t cached_tail_ = 0;
};

#endif  // PILLION_BENCH_RING_H_
