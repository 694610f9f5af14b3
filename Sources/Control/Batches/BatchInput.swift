import Kernel

/// Reads the requests of a batch from what was sent, one by one.
///
/// A flaw in one does not keep the others from being asked: it is told where their answers are.
struct BatchInput {
    private enum Source {
        /// JSON lines, and how far they are read.
        case lines([UInt8], Int)
        case requests([JSONValue], Int)
    }

    private var source: Source
    private let endpoint: String
    private var number: Int64 = 0
    private var seen: Set<String> = []

    /// A file of OpenAI's dialect (OpenAI API reference, "The request input object").
    init(lines bytes: [UInt8], endpoint: String) {
        source = .lines(bytes, 0)
        self.endpoint = endpoint
    }

    /// The `requests` of Anthropic's dialect (Anthropic API reference, "Create a Message Batch").
    init(requests: [JSONValue], endpoint: String) {
        source = .requests(requests, 0)
        self.endpoint = endpoint
    }

    /// How many requests a file has. Empty lines are none.
    static func count(_ bytes: [UInt8], max: Int) -> Int {
        var count = 0
        var hasContent = false
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                if hasContent { count += 1 }
                if count > max { return count }
                hasContent = false
            } else if !isSpace(byte) {
                hasContent = true
            }
        }
        return hasContent ? count + 1 : count
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r")
    }

    /// The next request; `nil` behind the last.
    mutating func next() -> BatchLine? {
        switch source {
        case .requests(let requests, let index):
            guard index < requests.count else { return nil }
            source = .requests(requests, index + 1)
            number += 1
            return read(message: requests[index])
        case .lines(let bytes, var position):
            while position < bytes.count {
                let end = bytes[position...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
                let line = bytes[position..<end]
                position = end + 1
                guard !line.allSatisfy(Self.isSpace) else { continue }
                source = .lines(bytes, position)
                number += 1
                return read(line: line)
            }
            return nil
        }
    }

    private func flawed(_ customID: String?, _ code: String, _ message: String, param: String? = nil) -> BatchLine {
        var line = BatchLine(number: number, customID: customID, state: .errored)
        line.flaw = BatchLine.Flaw(code, message, param: param)
        return line
    }

    private mutating func read(line: ArraySlice<UInt8>) -> BatchLine {
        guard line.count <= BatchPolicy.messageBatchBytes else {
            return flawed(
                nil, "request_too_large", "Line \(number) is longer than \(BatchPolicy.messageBatchBytes) bytes.")
        }
        let document: JSONValue
        do {
            document = try JSONParser.parse(line, depthMax: BatchPolicy.jsonDepth)
        } catch {
            let reason = (error as? JSONParser.Failure).map { ": \($0.reason)" } ?? ""
            return flawed(nil, "invalid_json_line", "Line \(number) is no JSON\(reason).")
        }
        guard document.object != nil else {
            return flawed(nil, "invalid_json_line", "Line \(number) is a JSON \(document.typeName), not an object.")
        }
        guard let customID = document["custom_id"]?.string, !customID.isEmpty else {
            return flawed(
                nil, "missing_required_parameter", "Line \(number) has no custom_id, which is a text.",
                param: "custom_id")
        }
        guard customID.unicodeScalars.count <= BatchPolicy.customIDCharacters else {
            return flawed(
                nil, "invalid_custom_id",
                "The custom_id of line \(number) is longer than \(BatchPolicy.customIDCharacters) characters.",
                param: "custom_id")
        }
        guard seen.insert(customID).inserted else {
            return flawed(
                customID, "duplicate_custom_id", "The custom_id of line \(number) stands in an earlier line too.",
                param: "custom_id")
        }
        return request(document, customID)
    }

    private func request(_ document: JSONValue, _ customID: String) -> BatchLine {
        guard document["method"]?.string == "POST" else {
            return flawed(
                customID, "invalid_method", "The method of line \(number) is not \"POST\".", param: "method")
        }
        guard document["url"]?.string == endpoint else {
            return flawed(
                customID, "url_mismatch", "The url of line \(number) is not the batch's endpoint, \(endpoint).",
                param: "url")
        }
        return body(document["body"], customID, name: "body")
    }

    private func body(_ value: JSONValue?, _ customID: String, name: String) -> BatchLine {
        guard let value, value.object != nil else {
            return flawed(customID, "invalid_request", "`\(name)` of request \(number) is no object.", param: name)
        }
        if let stream = value["stream"], stream != false, !stream.isNull {
            return flawed(
                customID, "invalid_request", "Request \(number) asks for a stream, which a batch cannot answer.",
                param: "\(name).stream")
        }
        return BatchLine(number: number, customID: customID, body: value.bytes)
    }

    /// Its id was checked when the batch was made.
    private func read(message: JSONValue) -> BatchLine {
        body(message["params"], message["custom_id"]?.string ?? "", name: "params")
    }
}
