/* tests/support/arena.h: a buffer that holds the operands of all comparisons of a program, one behind the other: a GPU
 * waits for its work whenever memory is allocated or freed, and so does every copy to and from it.
 *
 * Around each operand lie at least kMargin bytes of kPoison, which are looked at when it is read back. */
#ifndef MFQ_TESTS_SUPPORT_ARENA_H
#define MFQ_TESTS_SUPPORT_ARENA_H

#include <deque>
#include <mutex>

#include "quantized.h"

namespace mfq_test {

class Arena {
public:
  static constexpr size_t kBytes = (size_t)256 << 20, kMargin = 256;

  /* Bytes of the buffer: `front` of kPoison from an address aligned to 256, and an operand. */
  struct Place {
    size_t at, front, bytes;
    bool is_taken;
  };

  /* Of the context's device. */
  explicit Arena(mfq_context *context) : context_(context), mirror_(new uint8_t[kBytes]) {
    EXPECT_EQ(mfq_buffer_create(context, kBytes, &buffer_), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(mfq_buffer_fill(buffer_, 0, kMargin, kPoison), MFQ_OK) << mfq_last_error();
  }
  ~Arena() { mfq_buffer_destroy(buffer_); }
  Arena(const Arena &) = delete;

  /* NULL where not enough is left: then an operand needs a buffer of its own. */
  Place *take(size_t front, size_t bytes) {
    const std::lock_guard<std::mutex> hold(lock_);
    const Place place = {top(), front, bytes, true};
    if (bytes > kBytes || end_of(place) > kBytes) return nullptr;
    places_.push_back(place);
    return &places_.back();
  }
  /* Once the work of `context` is done, as when memory is freed. */
  void give_back(Place *place, mfq_context *context) {
    const std::lock_guard<std::mutex> hold(lock_);
    if (place->at < fetched_from_) EXPECT_EQ(mfq_context_synchronize(context), MFQ_OK) << mfq_last_error();
    place->is_taken = false;
    while (!places_.empty() && !places_.back().is_taken) places_.pop_back();
  }
  uint8_t *data(const Place &place) const {
    return static_cast<uint8_t *>(mfq_buffer_data(buffer_)) + place.at + place.front;
  }

  /* Fills a place for work of `context`; host NULL: with kPoison. */
  void put(const Place &place, const void *host, mfq_context *context) {
    const std::lock_guard<std::mutex> hold(lock_);
    if (host == nullptr && place.at < gathered_from_) { /* it may be large */
      EXPECT_EQ(mfq_buffer_fill(buffer_, place.at, end_of(place) - place.at, kPoison), MFQ_OK) << mfq_last_error();
      if (context != context_) EXPECT_EQ(mfq_context_synchronize(context_), MFQ_OK) << mfq_last_error();
      return;
    }
    std::memset(&mirror_[place.at], kPoison, end_of(place) - place.at);
    if (host != nullptr && place.bytes > 0) std::memcpy(&mirror_[place.at + place.front], host, place.bytes);
    if (place.at < gathered_from_) write(place.at, end_of(place));
  }
  /* Reads a place after the work of `context`, and looks at the bytes around it. */
  void get(const Place &place, void *host, mfq_context *context) {
    const std::lock_guard<std::mutex> hold(lock_);
    if (place.at < fetched_from_) fetch(place.at - kMargin, end_of(place), context);
    check_before(place);
    check_behind(place);
    if (place.bytes > 0) std::memcpy(host, &mirror_[place.at + place.front], place.bytes);
  }
  /* Looks at the bytes behind a place alone. */
  void check(const Place &place, mfq_context *context) {
    const std::lock_guard<std::mutex> hold(lock_);
    fetch(place.at + place.front + place.bytes, end_of(place), context);
    check_behind(place);
  }

  /* What is put from now on is gathered, */
  void begin() {
    const std::lock_guard<std::mutex> hold(lock_);
    begins_at_ = gathered_from_ = top();
  }
  /* written at once, */
  void upload() {
    const std::lock_guard<std::mutex> hold(lock_);
    gathered_from_ = SIZE_MAX;
    if (top() > begins_at_) write(begins_at_, top());
  }
  /* and read back at once, after the work of `context`: get() has nothing left to read, until the end. */
  void download(mfq_context *context) {
    const std::lock_guard<std::mutex> hold(lock_);
    fetch(begins_at_ - kMargin, top(), context);
    fetched_from_ = begins_at_;
  }
  void end() {
    const std::lock_guard<std::mutex> hold(lock_);
    gathered_from_ = fetched_from_ = SIZE_MAX;
  }

private:
  mfq_context *context_;
  mfq_buffer *buffer_ = nullptr;
  std::unique_ptr<uint8_t[]> mirror_; /* the same on the host */
  std::mutex lock_;
  std::deque<Place> places_; /* the last is always taken */
  size_t begins_at_ = kMargin, gathered_from_ = SIZE_MAX, fetched_from_ = SIZE_MAX;

  static size_t end_of(const Place &place) {
    return (place.at + place.front + place.bytes + kMargin + 255) / 256 * 256;
  }
  size_t top() const { return places_.empty() ? kMargin : end_of(places_.back()); }

  void write(size_t from, size_t to) {
    EXPECT_EQ(mfq_buffer_write(buffer_, from, &mirror_[from], to - from), MFQ_OK) << mfq_last_error();
  }
  void fetch(size_t from, size_t to, mfq_context *context) {
    if (context != context_) EXPECT_EQ(mfq_context_synchronize(context), MFQ_OK) << mfq_last_error();
    EXPECT_EQ(mfq_buffer_read(buffer_, from, &mirror_[from], to - from), MFQ_OK) << mfq_last_error();
  }

  void check_before(const Place &place) const {
    const size_t first = place.at + place.front;
    for (size_t i = first; i-- > place.at - kMargin;)
      if (mirror_[i] != kPoison) {
        ADD_FAILURE() << "byte " << first - i << " before the memory was written";
        return;
      }
  }
  void check_behind(const Place &place) const {
    const size_t last = place.at + place.front + place.bytes;
    for (size_t i = last; i < end_of(place); ++i)
      if (mirror_[i] != kPoison) {
        ADD_FAILURE() << "byte " << i - last + 1 << " behind the memory of " << place.bytes << " was written";
        return;
      }
  }
};

} // namespace mfq_test

#endif
