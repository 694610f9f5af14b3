import ArgumentParser
import Foundation
import Kernel
import Runner

/// Where the server is, with which key, and how to print.
struct ConnectionOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Reeve's address; else REEVE_URL, else \(ClientConnection.urlDefault)."))
    var url: String?

    @Option(help: "The key to show; else REEVE_KEY, else admin.key in the data directory.")
    var key: String?

    @Option(name: .customLong("data-dir"), help: "The data directory of a server on this machine; ./reeve-data.")
    var dataDirectory: String?

    func client() throws -> ReeveClient {
        let connection = try ClientConnection.resolve(
            url: url, key: key, dataDirectory: dataDirectory, environment: ProcessInfo.processInfo.environment)
        return ReeveClient(url: connection.url, key: connection.key)
    }
}

struct OutputOptions: ParsableArguments {
    @Flag(name: .customLong("json"), help: "Print one JSON document.")
    var isJSON = false
}

/// What every command takes that asks the server.
struct ClientOptions: ParsableArguments {
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
}

/// Which part of a list.
struct PageOptions: ParsableArguments {
    @Option(help: "Rows at most; pages are fetched as needed.")
    var limit = 50

    @Option(help: "Begin behind this cursor, the `next` of an earlier list.")
    var after: String?

    func validate() throws {
        guard limit > 0 else { throw ValidationError("--limit is at least 1.") }
    }
}

/// What a command answers: the document and the text are two renderings of one thing.
struct Answer {
    var json: JSONValue
    var text: String
    /// 0 done; 1 the answer is no.
    var status: Int32 = 0

    /// A thing with all its members.
    static func details(_ item: JSONValue, text: String? = nil) -> Answer {
        Answer(json: item, text: text ?? Words.details(item, at: World.live.now))
    }

    /// What stays to say of a thing that is no more.
    static func deleted(_ name: String) -> Answer {
        Answer(json: ["deleted": .string(name)], text: "\(name): deleted")
    }

    /// A page of things, with where to go on.
    static func list(_ view: ListView, _ page: (items: [JSONValue], next: String?)) -> Answer {
        var text = view.text(page.items, at: World.live.now, width: Screen.columns)
        if let next = page.next { text += "\nMore follows: --after \(next)" }
        let json: JSONValue = ["items": .array(page.items), "next": page.next.map { .string($0) } ?? .null]
        return Answer(json: json, text: text)
    }
}

/// A command that asks the server one thing and prints the answer.
///
/// Exit status: 0 done, 1 the answer is no or the server refused, 2 a wrong call, 3 the server cannot be reached.
protocol ClientCommand: AsyncParsableCommand {
    var client: ClientOptions { get }
    func answer(_ reeve: ReeveClient) async throws -> Answer
}

extension ClientCommand {
    var isJSON: Bool { client.output.isJSON }

    func run() async throws {
        try await finish { try await answer(client.connection.client()) }
    }

    /// Prints what `body` answers, or why it could not.
    func finish(_ body: () async throws -> Answer) async throws {
        let answer = try await Failing.translated(isJSON: isJSON, body)
        print(isJSON ? answer.json.prettyText : answer.text)
        if answer.status != 0 { throw ExitCode(answer.status) }
    }
}

extension CommandConfiguration {
    /// Of a command whose end means what it means with most.
    static func client(_ name: String, _ abstract: String) -> CommandConfiguration {
        CommandConfiguration(commandName: name, abstract: abstract, discussion: Failing.exits)
    }
}

/// A command that prints a list, as much of it as is asked for.
protocol ListCommand: ClientCommand {
    static var view: ListView { get }
    var page: PageOptions { get }
    /// The parts of the list's address.
    var place: [String] { get }
    /// What narrows the list down, as the address has it.
    var filters: [(String, String?)] { get }
}

extension ListCommand {
    var filters: [(String, String?)] { [] }

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        .list(
            Self.view, try await reeve.list(place, query: filters + [("after", page.after)], limit: page.limit))
    }
}

/// A command that sends one verb about one thing: it has the name that the interface has for it.
protocol VerbCommand: ClientCommand {
    /// The thing's address, behind which the verb comes.
    var address: String { get }
    func body() throws -> JSONValue
    func answer(to reply: JSONValue) -> Answer
}

extension VerbCommand {
    func body() -> JSONValue { [:] }
    func answer(to reply: JSONValue) -> Answer { .details(reply) }

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        answer(to: try await reeve.post("\(address)/\(Self.verb)", try body()))
    }
}

extension ClientCommand {
    /// The interface's verb where it is the command's name.
    static var verb: String { configuration.commandName ?? "" }
}

/// The end of a command that failed: what happened and what to do next on stderr, the document on stdout with `--json`.
enum Failing {
    static let exits =
        "Exit status: 0 done, 1 the answer is no or refused, 2 wrong usage, 3 the server cannot be reached."

    static func translated<Value>(isJSON: Bool, _ body: () async throws -> Value) async throws -> Value {
        do {
            return try await body()
        } catch let failure as ClientFailure {
            report(failure, isJSON: isJSON)
            throw ExitCode(failure.exitStatus)
        }
    }

    static func report(_ failure: ClientFailure, isJSON: Bool) {
        let (what, next) = failure.words
        if isJSON {
            if case .refused(let refusal) = failure, refusal.document.object != nil {
                print(refusal.document.prettyText)
            } else {
                let document: JSONValue = ["detail": .string(what), "hint": .string(next)]
                print(document.prettyText)
            }
        }
        let text = next.isEmpty ? "\(what)\n" : "\(what)\n\(next)\n"
        Screen.complain(text)
    }
}

/// `NAME=VALUE` on the command line.
struct Pair: ExpressibleByArgument {
    let name: String
    let value: String

    init?(argument: String) {
        guard let equals = argument.firstIndex(of: "="), equals != argument.startIndex else { return nil }
        name = String(argument[..<equals])
        value = String(argument[argument.index(after: equals)...])
    }
}

extension [Pair] {
    var dictionary: [String: String] { reduce(into: [:]) { $0[$1.name] = $1.value } }
}

/// JSON on the command line: the text itself, `@file`, or `-` for standard input.
enum JSONArgument {
    static func read(_ argument: String, name: String) throws -> JSONValue {
        let bytes: [UInt8]
        if argument == "-" {
            bytes = Array(FileHandle.standardInput.readDataToEndOfFile())
        } else if argument.hasPrefix("@") {
            let path = String(argument.dropFirst())
            guard let data = FileManager.default.contents(atPath: path) else {
                throw ValidationError("\(name): the file \(path) cannot be read.")
            }
            bytes = Array(data)
        } else {
            bytes = Array(argument.utf8)
        }
        do {
            return try JSONParser.parse(bytes)
        } catch let failure as JSONParser.Failure {
            throw ValidationError("\(name) is not JSON: \(failure.reason), at byte \(failure.offset).")
        }
    }
}

extension JSONValue {
    /// An object of those members that have a value.
    static func given(_ members: (String, (any JSONConvertible)?)...) -> JSONValue {
        .object(members.reduce(into: JSONObject()) { $0.add($1.0, $1.1) })
    }
}

extension JSONObject {
    /// Sets a member where there is a value.
    mutating func add(_ name: String, _ value: (any JSONConvertible)?) {
        if let value { self[name] = value.json }
    }
}
