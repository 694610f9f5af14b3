import NIOCore

/// What a call answered, kept beside what goes out: for the cache, for those who wait for the same call, and for the
/// guards that look at what was said.
struct AnswerCapture {
    /// Bytes of an answer; what is longer is not kept.
    static let bytesMax = 2 << 20

    private(set) var status = 0
    private(set) var contentType = "application/json"
    private(set) var body = ByteBuffer()
    private(set) var isTooLong = false
    /// Whether the target's answer came to its end.
    var isWhole = false

    mutating func begin(_ status: Int, _ headers: [(name: String, value: String)]) {
        self.status = status
        contentType = headers.first { $0.name == "content-type" }?.value ?? contentType
    }

    mutating func add(_ bytes: ByteBuffer) {
        guard !isTooLong else { return }
        guard body.readableBytes + bytes.readableBytes <= Self.bytesMax else {
            isTooLong = true
            body = ByteBuffer()
            return
        }
        body.writeImmutableBuffer(bytes)
    }
}
