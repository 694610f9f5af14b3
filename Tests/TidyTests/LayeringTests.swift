import Foundation
import Testing

/// Who may know whom. A failure says what to do instead.
@Suite struct LayeringTests {
    /// Modules that may be imported below each folder; what is not listed may be imported anywhere.
    static let homes: [(module: String, folders: [String], instead: String)] = [
        ("GRDB", ["Sources/Kernel/Storage/SQLite"], "ask `Storage`"),
        ("CPostgres", ["Sources/Kernel/Storage/Postgres"], "ask `Storage`"),
        ("CSQLite", ["Sources/Kernel/Storage/SQLite"], "ask `Storage`"),
        ("CCompression", ["Sources/Telemetry"], "bodies are unpacked at their door"),
        ("CKafka", ["Sources/Telemetry/Kafka"], "hand records to `KafkaOutlet`"),
        ("Yams", ["Sources/Kernel/Settings"], "read `Settings`"),
        ("NIOPosix", ["Sources/Server", "Sources/Gateway"], "features see `APIRequest` and `APIReply`"),
        ("NIOHTTP1", ["Sources/Server", "Sources/Gateway"], "features see `APIRequest` and `APIReply`"),
        ("Mustache", ["Sources/Control"], "pages belong to their features"),
        ("CWebAssets", ["Sources/Server"], "pages get their addresses from `PageAssets`"),
        ("AsyncHTTPClient", ["Sources/Server", "Sources/Runner"], "take what you need as a protocol"),
        ("ArgumentParser", ["Sources/reeve"], "commands are thin and live in `reeve`"),
        ("Control", ["Sources/Server", "Sources/reeve"], "the rooms beside each other do not know each other"),
        ("Gateway", ["Sources/Server", "Sources/reeve"], "the rooms beside each other do not know each other"),
        ("Runner", ["Sources/reeve"], "the runner reaches the server over HTTP alone"),
        ("Server", ["Sources/reeve"], "only the program knows the whole"),
    ]

    @Test("Each library and room is imported only where it belongs", arguments: homes.indices)
    func imports(_ index: Int) {
        let home = Self.homes[index]
        for file in SourceTree.sources where !home.folders.contains(where: { file.path.hasPrefix($0 + "/") }) {
            let isImported = file.code.contains { line in
                line.text.hasSuffix(home.module)
                    && line.text.split(separator: " ").suffix(2).elementsEqual(["import", Substring(home.module)])
            }
            #expect(!isImported, "\(file.path) imports \(home.module): \(home.instead)")
        }
    }

    @Test("SQL stands only in stores and schemas")
    func sqlHomes() throws {
        let statement = try Regex(
            #"\b(SELECT .+ FROM|INSERT INTO|UPDATE \w+ SET|DELETE FROM|CREATE (TABLE|INDEX|UNIQUE))\b"#)
        for file in SourceTree.sources where !file.path.hasPrefix("Sources/Kernel/Storage/") {
            if file.name.contains("Store") || file.name.hasSuffix("Schema.swift") { continue }
            let hasWords = ["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE"].contains { file.text.contains($0) }
            for (index, line) in file.lines.enumerated() where hasWords && line.contains(statement) {
                Issue.record("\(file.path):\(index + 1) holds SQL: give the store a verb")
            }
        }
    }

    @Test("A table is named only in the folder that owns it")
    func tableOwners() throws {
        let creation = try Regex(#"CREATE TABLE (\w+)"#, as: (Substring, Substring).self)
        var owners: [Substring: Set<String>] = [:]
        for schema in SourceTree.sources where schema.name.hasSuffix("Schema.swift") {
            for match in schema.text.matches(of: creation) { owners[match.output.1, default: []].insert(schema.folder) }
        }
        #expect(owners.count > 50)
        let use = try Regex(#"\b(?:FROM|INTO|UPDATE|JOIN)\s+(\w+)"#, as: (Substring, Substring).self)
        for file in SourceTree.sources where ["FROM", "INTO", "UPDATE", "JOIN"].contains(where: file.text.contains) {
            for table in Set(file.text.matches(of: use).map(\.output.1)) {
                for folder in owners[table] ?? [] where !file.path.hasPrefix(folder + "/") {
                    Issue.record("\(file.path) reaches into \(table), which \(folder) owns: ask its service")
                }
            }
        }
    }

    @Test("A feature's store is named only in its own folder and where everything is made")
    func storesStayHome() throws {
        let declaration = try Regex(#"struct (\w+Store)\b"#, as: (Substring, Substring).self)
        var owners: [Substring: Set<String>] = [:]
        for file in SourceTree.sources where file.path.hasPrefix("Sources/Control/") {
            for match in file.text.matches(of: declaration) { owners[match.output.1, default: []].insert(file.folder) }
        }
        #expect(owners.count > 20)
        for file in SourceTree.sources where !["Features.swift", "FeatureParts.swift"].contains(file.name) {
            for line in file.code where line.text.contains("Store") {
                for word in line.text.split(whereSeparator: { !$0.isLetter && !$0.isNumber && $0 != "_" }) {
                    for folder in owners[word] ?? [] where !file.path.hasPrefix(folder + "/") {
                        Issue.record("\(file.path):\(line.number) names \(word) of \(folder): ask its service")
                    }
                }
            }
        }
    }
}
