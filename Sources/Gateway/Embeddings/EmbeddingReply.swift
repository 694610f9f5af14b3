import Kernel
import NIOCore

/// The answer to a joint call for embeddings (OpenAI API reference, "The embedding object"), to be taken apart. The
/// vectors stay the bytes that the provider sent.
struct EmbeddingReply {
    private static let wanted = TopLevelScan.Wanted(["data", "model", "usage"])
    private static let wantedOfItem = TopLevelScan.Wanted(["index", "embedding"])

    /// In the order of the inputs.
    private let vectors: [Range<Int>]
    private let model: Range<Int>?
    private let bytes: [UInt8]
    /// The provider's own words.
    let usage: JSONValue?

    /// `nil` where it is no answer to so many inputs.
    init?(_ bytes: [UInt8], inputs: Int) {
        guard let scan = try? TopLevelScan.scan(bytes, for: Self.wanted), let data = scan.ranges[0],
            let items = Self.items(bytes, data, max: inputs), items.count == inputs
        else { return nil }
        var vectors = [Range<Int>?](repeating: nil, count: inputs)
        for (place, item) in items.enumerated() {
            let slice = Array(bytes[item])
            guard let found = try? TopLevelScan.scan(slice, for: Self.wantedOfItem), let vector = found.ranges[1] else {
                return nil
            }
            let told = found.ranges[0].map { Int(String(decoding: slice[$0], as: UTF8.self)) ?? -1 }
            let index = told ?? place
            guard vectors.indices.contains(index), vectors[index] == nil else { return nil }
            vectors[index] = vector.lowerBound + item.lowerBound..<vector.upperBound + item.lowerBound
        }
        self.vectors = vectors.compactMap(\.self)
        self.bytes = bytes
        model = scan.ranges[1]
        usage = scan.ranges[2].flatMap { try? JSONParser.parse(Array(bytes[$0]), depthMax: 8) }.flatMap { usage in
            usage.object == nil ? nil : usage
        }
    }

    /// The answer for some of the inputs, as if they had been asked for alone.
    ///
    /// - Parameter tokens: Their share of the usage; `nil` where the provider told none.
    func part(_ inputs: Range<Int>, tokens: Int64?) -> ByteBuffer {
        var part = ByteBuffer()
        part.reserveCapacity(inputs.reduce(256) { $0 + vectors[$1].count + 64 })
        part.writeString(#"{"object":"list","data":["#)
        for (place, index) in inputs.enumerated() {
            part.writeString(place == 0 ? "" : ",")
            part.writeString(#"{"object":"embedding","index":\#(place),"embedding":"#)
            part.writeBytes(bytes[vectors[index]])
            part.writeString("}")
        }
        part.writeString(#"],"model":"#)
        if let model { part.writeBytes(bytes[model]) } else { part.writeString("null") }
        if let tokens { part.writeString(#","usage":{"prompt_tokens":\#(tokens),"total_tokens":\#(tokens)}"#) }
        part.writeString("}")
        return part
    }

    /// Where the items of an array stand, whose brackets and strings are known to be sound. `nil` where it is no array,
    /// or longer than `max`.
    private static func items(_ bytes: [UInt8], _ array: Range<Int>, max: Int) -> [Range<Int>]? {
        guard array.count >= 2, bytes[array.lowerBound] == UInt8(ascii: "[") else { return nil }
        var items: [Range<Int>] = []
        var depth = 0
        var start = array.lowerBound + 1
        var position = start
        let end = array.upperBound - 1
        while position < end {
            switch bytes[position] {
            case UInt8(ascii: "\""):
                position += 1
                while position < end, bytes[position] != UInt8(ascii: "\"") {
                    position += bytes[position] == UInt8(ascii: "\\") ? 2 : 1
                }
            case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
            case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
            case UInt8(ascii: ",") where depth == 0:
                guard items.count < max else { return nil }
                items.append(start..<position)
                start = position + 1
            default: break
            }
            position += 1
        }
        // What stands between the brackets of an empty one is no item: reading it says so.
        items.append(start..<end)
        return items
    }
}
