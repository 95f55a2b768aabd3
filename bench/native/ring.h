// Framed records in shared memory between one producer and one consumer, as plain as it can be done: what pillion's
// rings are held against.
#ifndef PILLION_BENCH_RING_H_
#define PILLION_BENCH_RING_H_

#include "common.h"

constexpr uint32_t kHeaderLength = 16;
constexpr uint32_t kLeastDataLength = 256 * 1024;
constexpr uint32_t kLeastRecords = 4;

// All records of a run have the same length, so a ring is a row of equal slots and a sequence number names its slot.
// Every word of a payload depends on the sequence number, and every word is compared on arrival.
class Frame {
 public:
  Frame(uint32_t payload_length, uint32_t mark) : payload_length_(payload_length), mark_(mark) {}

  uint32_t RecordLength() const { return (kHeaderLength + payload_length_ + 7) & ~7u; }

  uint32_t RecordCount() const {
    const uint32_t count = kLeastDataLength / RecordLength();
    return count < kLeastRecords ? kLeastRecords : count;
  }

  size_t DataLength() const { return static_cast<size_t>(RecordLength()) * RecordCount(); }

  size_t OffsetOf(uint32_t sequence) const { return static_cast<size_t>(sequence % RecordCount()) * RecordLength(); }

  void Write(unsigned char* record, uint32_t sequence) const {
    const uint32_t header[4] = {payload_length_, mark_, sequence, 0};
    std::memcpy(record, header, sizeof header);
    unsigned char* payload = record + kHeaderLength;
    const uint32_t words = payload_length_ / 8;
    for (uint32_t index = 0; index < words; index++) {
      const uint64_t word = WordAt(sequence, index);
      std::memcpy(payload + index * 8, &word, sizeof word);
    }
    const uint64_t last = WordAt(sequence, words);
    std::memcpy(payload + words * 8, &last, payload_length_ % 8);
  }

  bool IsIntact(const unsigned char* record, uint32_t sequence) const {
    uint32_t header[4];
    std::memcpy(header, record, sizeof header);
    uint64_t difference = (header[0] ^ payload_length_) | (header[1] ^ mark_) | (header[2] ^ sequence);
    const unsigned char* payload = record + kHeaderLength;
    const uint32_t words = payload_length_ / 8;
    for (uint32_t index = 0; index < words; index++) {
      uint64_t word;
      std::memcpy(&word, payload + index * 8, sizeof word);
      difference |= word ^ WordAt(sequence, index);
    }
    uint64_t last = WordAt(sequence, words);
    std::memcpy(&last, payload + words * 8, payload_length_ % 8);
    return (difference | (last ^ WordAt(sequence, words))) == 0;
  }

 private:
  uint64_t WordAt(uint32_t sequence, uint32_t index) const {
    return (static_cast<uint64_t>(sequence ^ mark_) << 32) | (sequence + index);
  }

  uint32_t payload_length_;
  uint32_t mark_;
};

struct Ring {
  alignas(128) std::atomic<uint32_t> tail{0};      // written by the producer only
  alignas(128) std::atomic<uint32_t> head{0};      // written by the consumer only
  alignas(128) std::atomic<uint32_t> finished{0};  // written by whoever gives up first

  static Ring* Map(const Frame& frame) { return new (MapShared(sizeof(Ring) + frame.DataLength())) Ring; }

  unsigned char* Data() { return reinterpret_cast<unsigned char*>(this + 1); }

  void Finish() { finished.store(1, std::memory_order_release); }

  bool IsEmpty() const { return head.load(std::memory_order_acquire) == tail.load(std::memory_order_acquire); }
};

class Producer {
 public:
  Producer(Ring* ring, Frame frame) : ring_(ring), frame_(frame), capacity_(frame.RecordCount()) {}

  bool HasRoom() {
    if (sequence_ - cached_head_ < capacity_) return true;
    cached_head_ = ring_->head.load(std::memory_order_acquire);
    return sequence_ - cached_head_ < capacity_;
  }

  void Write() {
    sequence_++;
    frame_.Write(ring_->Data() + frame_.OffsetOf(sequence_), sequence_);
    // Release pairs with the consumer's acquire: whoever sees the new tail sees the whole record.
    ring_->tail.store(sequence_, std::memory_order_release);
  }

 private:
  Ring* ring_;
  Frame frame_;
  uint32_t capacity_;
  uint32_t sequence_ = 0;
  uint32_t cached_head_ = 0;
};

class Consumer {
 public:
  Consumer(Ring* ring, Frame frame) : ring_(ring), frame_(frame) {}

  bool HasRecord() {
    if (cached_tail_ != sequence_) return true;
    cached_tail_ = ring_->tail.load(std::memory_order_acquire);
    return cached_tail_ != sequence_;
  }

  // False: the record is damaged.
  bool Read() {
    sequence_++;
    const bool is_intact = frame_.IsIntact(ring_->Data() + frame_.OffsetOf(sequence_), sequence_);
    // Only now may the producer write over it.
    ring_->head.store(sequence_, std::memory_order_release);
    return is_intact;
  }

 private:
  Ring* ring_;
  Frame frame_;
  uint32_t sequence_ = 0;
  uint32_t cached_tail_ = 0;
};

#endif  // PILLION_BENCH_RING_H_
