import Kernel

/// The beginning and the end of a batch's run: its requests are read, its results put together.
extension BatchRunner {
    /// Requests, and bytes of them, that one commit adds.
    private static let linesPerCommit = 500
    private static let bytesPerCommit = 2 << 20
    /// Results that are read at one time.
    private static let resultsPerRead = 200

    /// Reads what was sent into the store, whole or, after a restart, again; whether there is anything to go on with.
    func ingest(_ batch: Batch) async throws -> Bool {
        guard var input = try await input(of: batch) else { return false }
        var chunk: [BatchLine] = []
        var bytes = 0
        var (total, flawedCount) = (Int64(0), Int64(0))
        var flawed: [BatchLine] = []
        var model: String?
        while let line = input.next() {
            total += 1
            if line.flaw != nil {
                flawedCount += 1
                if flawed.count < BatchPolicy.flawsToldMax { flawed.append(line) }
            }
            if model == nil, let body = line.body { model = Self.model(in: body) }
            chunk.append(line)
            bytes += line.body?.count ?? 0
            if chunk.count == Self.linesPerCommit || bytes >= Self.bytesPerCommit {
                try await add(chunk, to: batch.id)
                (chunk, bytes) = ([], 0)
            }
        }
        try await add(chunk, to: batch.id)
        try await storage.write { [service, total, flawed, flawedCount, model] in
            try service.begin(
                batch.id, total: total, flawed: flawed, flawedCount: flawedCount, model: model, in: $0)
        }
        return try await current(batch.id)?.state.hasEnded == false
    }

    /// A body that was read once already, so it is JSON.
    private static func model(in body: [UInt8]) -> String? {
        (try? JSONParser.parse(body, depthMax: BatchPolicy.jsonDepth))?["model"]?.string
            .map { String($0.prefix(200)) }
    }

    private func add(_ lines: [BatchLine], to id: String) async throws {
        try await storage.write { [service] in try service.lines.insert(lines, of: id, in: $0) }
    }

    /// What was sent; where it cannot be used the batch fails, and the answer is `nil`.
    private func input(of batch: Batch) async throws -> BatchInput? {
        guard let file = try await storage.read({ [service] in try service.files.file(batch.inputFile, in: $0) }) else {
            try await fail(batch, .init("file_not_found", "The input file was deleted before it was read."))
            return nil
        }
        let bytes = try await blobs.get(file.sha256)
        if batch.dialect == .anthropic {
            let requests = try JSONParser.parse(bytes, depthMax: BatchPolicy.jsonDepth)["requests"]?.array ?? []
            return BatchInput(requests: requests, endpoint: batch.endpoint)
        }
        let count = BatchInput.count(bytes, max: service.policy.lines)
        guard count > 0 else {
            try await fail(batch, .init("empty_file", "The input file has no requests."))
            return nil
        }
        guard count <= service.policy.lines else {
            try await fail(
                batch, .init("too_many_tasks", "The input file has more than \(service.policy.lines) requests."))
            return nil
        }
        return BatchInput(lines: bytes, endpoint: batch.endpoint)
    }

    private func fail(_ batch: Batch, _ flaw: BatchLine.Flaw) async throws {
        try await storage.write { [service] in try service.fail(batch.id, flaw, in: $0) }
    }

    /// Puts the results into files, and ends the batch.
    func finish(_ batch: Batch) async throws {
        guard let batch = try await storage.write({ [service] in try service.finalize(batch.id, in: $0) }) else {
            return
        }
        var (output, errors): ([UInt8], [UInt8]) = ([], [])
        let writer = BatchResult(dialect: batch.dialect, batchID: batch.id)
        var last: Int64 = 0
        while true {
            let after = last
            let lines = try await storage.read { [service] in
                try service.lines.results(of: batch.id, after: after, limit: Self.resultsPerRead, in: $0)
            }
            for line in lines {
                let text = line.result ?? writer.line(line)
                if line.state == .succeeded || batch.dialect == .anthropic { output += text } else { errors += text }
                last = line.number
            }
            if lines.count < Self.resultsPerRead { break }
        }
        let isMessages = batch.dialect == .anthropic
        let results = try await keep(
            output, of: batch, isMessages ? .messageResults : .batchOutput, isMessages ? "results" : "output")
        let failures = try await keep(errors, of: batch, .batchOutput, "error")
        try await storage.write { [service, blobs] transaction in
            for file in [results, failures].compactMap(\.self) where !blobs.contains(file.sha256) {
                // Removed at this very moment with another file of the same content: the next round writes it again.
                throw Problem(.overloaded, "The results of \(batch.id) were removed while they were written.")
            }
            try service.end(batch.id, output: results, errors: failures, in: transaction)
        }
    }

    private func keep(_ bytes: [UInt8], of batch: Batch, _ purpose: BatchFile.Purpose, _ word: String) async throws
        -> BatchFile?
    {
        guard !bytes.isEmpty else { return nil }
        let now = world.now
        return BatchFile(
            id: BatchFile.newID(world), owner: batch.owner, purpose: purpose, name: "\(batch.id)_\(word).jsonl",
            size: Int64(bytes.count), sha256: try await blobs.put(bytes), createdAt: now,
            expiresAt: now + batch.outputSpan)
    }
}
