import Kernel
import Testing

@testable import Gateway

/// How the catalogue is read from the settings, and how wrong settings are refused.
@Suite struct GatewaySettingsTests {
    private func settings(_ yaml: String) throws -> GatewaySettings { try GatewaySettings(YAMLDocument.parse(yaml)) }

    private static let providers = "providers: {main: {kind: openai}, backup: {kind: anthropic}}\n"

    @Test func theDocumentedExampleIsRead() throws {
        let settings = try settings(
            """
            providers:
              main:   {kind: openai,    baseURL: "http://127.0.0.1:8099/v1", apiKeyFile: keys/main}
              backup: {kind: anthropic, baseURL: "http://127.0.0.1:8100",    apiKeyFile: keys/backup}
            models:
              gpt-4o-mini:
                tier: cheap
                targets: [{provider: main, model: gpt-4o-mini-2024-07-18},
                          {provider: backup, model: claude-haiku-4-5-20251001, prefill: true}]
                price: {input: 0.15, output: 0.60, cacheRead: 0.075}
                deadlines: {firstByteSeconds: 2.5, interTokenSeconds: 1, totalSeconds: 30}
                breaker: {openSeconds: 5, failures: 3}
                retries: 0
                cache: {ttlSeconds: 60, scope: project}
                singleFlight: true
                disconnect: {drainUpTo: 0.05}
                continuation: true
                input: {bodyBytes: 1000, depth: 8, refuse: ['DROP TABLE']}
                output: {secrets: true}
                contextTokens: 128000
                outputTokensMax: 16384
              premium-writer:
                tier: premium
                targets: [{provider: main, model: gpt-4o, price: {input: 5, output: 20}}]
                unpriced: refuse
            allowFloating: [gpt-4o]
            """)
        #expect(settings.providers.map(\.name) == ["main", "backup"])
        let main = try #require(settings.provider("main"))
        #expect(main.kind == .openai)
        #expect(main.baseURL == (try BaseURL("http://127.0.0.1:8099/v1", field: "")))
        #expect(main.keys.platform == .file("keys/main"))
        let mini = try #require(settings.model("gpt-4o-mini"))
        #expect(mini.tier == .cheap)
        #expect(mini.targets.map(\.label) == ["main/gpt-4o-mini-2024-07-18", "backup/claude-haiku-4-5-20251001"])
        #expect(mini.targets.map(\.canPrefill) == [false, true])
        let tokens = TokenBuckets([.input: 1_000_000, .output: 1_000_000, .cacheRead: 1_000_000])
        #expect(mini.price?.cost(of: tokens, at: Timestamp(microseconds: 0))?.value == 825_000_000)
        #expect(mini.deadlines.firstByte == .milliseconds(2_500))
        #expect(mini.deadlines.interToken == .seconds(1))
        #expect(mini.deadlines.total == .seconds(30))
        #expect(mini.breaker.open == .seconds(5))
        #expect(mini.breaker.failures == 3)
        #expect(mini.retries.atTarget == 0)
        #expect(mini.retries.atLastTarget == 0)
        #expect(mini.cache?.lifetime == .seconds(60))
        #expect(mini.cache?.scope == .project)
        #expect(mini.sharesCallsInFlight)
        #expect(mini.disconnect == .drainUpTo(NanoDollars(50_000_000)))
        #expect(mini.continuesStreams)
        #expect(mini.input.bodyBytes == 1_000)
        #expect(mini.input.refuse == ["DROP TABLE"])
        #expect(mini.output.redactsSecrets)
        #expect(mini.contextTokens == 128_000)
        #expect(mini.outputTokensMax == 16_384)
        let writer = try #require(settings.model("premium-writer"))
        #expect(writer.price == nil)
        #expect(writer.price(of: writer.targets[0]) == writer.targets[0].price)
        #expect(writer.unpriced == .refuse)
    }

    @Test func aModelWithoutMoreHasTheDefaults() throws {
        let yaml = Self.providers + "models: {m: {targets: [{provider: main, model: gpt-4o-2024-08-06}]}}"
        let model = try #require(try settings(yaml).model("m"))
        #expect(model.tier == nil)
        #expect(model.price == nil)
        #expect(model.unpriced == .book)
        #expect(model.deadlines == DeadlineSettings())
        #expect(model.deadlines.total == .seconds(600))
        #expect(model.breaker.failures == 5)
        #expect(model.retries.atTarget == 1)
        #expect(model.retries.atLastTarget == 2)
        #expect(model.retries.retryAfterMax == .seconds(3))
        #expect(model.cache == nil)
        #expect(!model.sharesCallsInFlight)
        #expect(model.disconnect == .cancel)
        #expect(!model.continuesStreams)
        #expect(model.output.isOff)
        #expect(model.input.bodyBytes == 33_554_432)
        #expect(model.input.depth == 128)
        #expect(model.targets.map(\.canPrefill) == [false])
    }

    @Test(arguments: ["", "{}", "providers: {}", "models: {}", "providers:", "allowFloating: []"])
    func nothingIsACatalogueToo(yaml: String) throws {
        let settings = try settings(yaml)
        #expect(settings.models.isEmpty)
        #expect(settings.resolve("cheap") == nil)
        #expect(settings.provider("main") == nil)
    }

    @Test func aTierStandsForItsFirstModel() throws {
        let target = "targets: [{provider: main, model: a-2024-08-06}]"
        let settings = try settings(
            Self.providers + """
                models:
                  plain: {\(target)}
                  second: {tier: standard, \(target)}
                  first: {tier: cheap, \(target)}
                  third: {tier: cheap, \(target)}
                """)
        #expect(settings.resolve("cheap")?.name == "first")
        #expect(settings.resolve("standard")?.name == "second")
        #expect(settings.resolve("premium") == nil)
        #expect(settings.resolve("third")?.name == "third")
        #expect(settings.resolve("Cheap") == nil)
        #expect(settings.models(of: .cheap).map(\.name) == ["first", "third"])
    }

    @Test(
        arguments: [
            ("gpt-4o-mini-2024-07-18", true), ("claude-haiku-4-5-20251001", true), ("claude-3-5-sonnet@20240620", true),
            ("gpt-4-turbo-2024-04-09", true), ("o1-2024-12-17", true), ("model:20240229", true), ("m_20240229", true),
            ("openai/gpt-4o-2024-11-20", true), ("a-2099-12-31", true),
            ("gpt-4o", false), ("gpt-4o-latest", false), ("claude-3-5-sonnet-latest", false), ("latest", false),
            ("mistral-large-2411", false), ("gpt-4-0613", false), ("grok-4-0709", false),
            ("gemini-2.5-flash-05-20", false),
            ("claude-3-5-sonnet-20240620-v1:0", false), ("gpt-4o-2024-08-06-preview", false), ("m-2024-13-01", false),
            ("m-2024-02-30", false), ("m-20230229", false), ("m-2024-00-10", false), ("m-2024-10-00", false),
            ("m-2019-12-31", false), ("m-2100-01-01", false), ("m20240718", false), ("m.20240718", false),
            ("20240718", false), ("-20240718", false), ("2024-07-18", false), ("m-2024-07-1", false),
            ("m-120240718", false), ("m-2024/07/18", false), ("m-2024-0718", false), ("", false),
            ("m-2024-07-1８", false),
        ] as [(String, Bool)])
    func pinnedNamesEndInADate(name: String, isPinned: Bool) {
        #expect(PinnedModel.isPinned(name) == isPinned)
    }

    @Test func aFloatingNameMustBeAllowed() throws {
        let targets = "targets: [{provider: main, model: gpt-4o-2024-08-06}, {provider: main, model: gpt-4o}]"
        let problem = #expect(throws: Problem.self) { try settings(Self.providers + "models: {m: {\(targets)}}") }
        #expect(problem?.field == "models/m/targets/1/model")
        #expect(problem?.detail.contains("gpt-4o") == true)
        let allowed = [
            "models: {m: {\(targets), allowFloating: true}}", "models: {m: {\(targets)}}\nallowFloating: [gpt-4o]",
            "models: {m: {\(targets)}}\nallowFloating: [m]",
        ]
        for yaml in allowed { #expect(try settings(Self.providers + yaml).models.count == 1) }
        #expect(throws: Problem.self) {
            try settings(Self.providers + "models: {m: {\(targets)}}\nallowFloating: [gpt-4]")
        }
    }

    /// What is wrong within one model, and where it is said to be.
    @Test(arguments: [
        ("targets: []", "targets"), ("tier: cheap", "targets"), ("targets: 5", "targets"),
        ("targets: [5]", "targets/0"),
        ("targets: [{provider: other, model: m-2024-08-06}]", "targets/0/provider"),
        ("targets: [{model: m-2024-08-06}]", "targets/0/provider"), ("targets: [{provider: main}]", "targets/0/model"),
        ("targets: [{provider: main, model: ''}]", "targets/0/model"),
        ("targets: [{provider: main, model: 'a b-2024-08-06'}]", "targets/0/model"),
        ("targets: [{provider: main, model: m-2024-08-06, weight: 3}]", "targets/0/weight"),
        ("targets: [{provider: main, model: m-2024-08-06, prefill: yes please}]", "targets/0/prefill"),
        ("targets: [{provider: main, model: m-2024-08-06}, {provider: main, model: m-2024-08-06}]", "targets/1/model"),
        ("T, tier: expensive", "tier"), ("T, price: {output: 3}", "price/input"), ("T, prices: {input: 3}", "prices"),
        ("T, price: [{input: 1}, {from: 2026-13-01, input: 1}]", "price/1/from"), ("T, unpriced: ignore", "unpriced"),
        ("T, deadlines: {firstByte: 3}", "deadlines/firstByte"), ("T, deadlines: 5", "deadlines"),
        ("T, deadlines: {firstByteSeconds: 0}", "deadlines/firstByteSeconds"),
        ("T, deadlines: {firstByteSeconds: 86401}", "deadlines/firstByteSeconds"),
        ("T, deadlines: {firstByteSeconds: 5, totalSeconds: 4}", "deadlines/firstByteSeconds"),
        ("T, deadlines: {interTokenSeconds: 5, totalSeconds: 4}", "deadlines/interTokenSeconds"),
        ("T, breaker: {failures: 11}", "breaker/failures"), ("T, breaker: {failures: 0}", "breaker/failures"),
        ("T, breaker: {errorRate: 1.5}", "breaker/errorRate"), ("T, breaker: {cooldown: 5}", "breaker/cooldown"),
        ("T, breaker: {openSeconds: soon}", "breaker/openSeconds"), ("T, retries: 11", "retries"),
        ("T, retries: -1", "retries"), ("T, retries: many", "retries"), ("T, retries: {max: 3}", "retries/max"),
        ("T, retries: {atTarget: 11}", "retries/atTarget"),
        ("T, retries: {backoffBaseSeconds: 5, backoffCapSeconds: 1}", "retries/backoffBaseSeconds"),
        ("T, cache: sometimes", "cache"), ("T, cache: {ttl: 5}", "cache/ttl"),
        ("T, cache: {scope: world}", "cache/scope"), ("T, cache: {entries: 0}", "cache/entries"),
        ("T, cache: {bytes: 10}", "cache/bytes"), ("T, queue: {calls: 1001}", "queue/calls"),
        ("T, queue: {waitSeconds: 31}", "queue/waitSeconds"), ("T, queue: {length: 3}", "queue/length"),
        ("T, quality: {}", "quality/rules"), ("T, quality: {rules: [bad]}", "quality/rules/0"),
        ("T, quality: {rules: [empty], openBelow: 2}", "quality/openBelow"),
        ("T, cache: {ttlSeconds: 0}", "cache/ttlSeconds"), ("T, disconnect: wait", "disconnect"),
        ("T, disconnect: {drainUpTo: -1}", "disconnect/drainUpTo"), ("T, disconnect: {}", "disconnect/drainUpTo"),
        ("T, disconnect: {drainUpTo: 0.0000000001}", "disconnect/drainUpTo"),
        ("T, disconnect: {for: 3}", "disconnect/for"),
        ("T, continuation: maybe", "continuation"), ("T, allowFloating: [x]", "allowFloating"),
        ("T, input: {bodyBytes: 33554433}", "input/bodyBytes"), ("T, input: {depth: 129}", "input/depth"),
        ("T, input: {refuse: ['(']}", "input/refuse/0"), ("T, input: {refuse: ['']}", "input/refuse/0"),
        ("T, output: {redact: [5]}", "output/redact"), ("T, output: {pii: true}", "output/pii"),
        ("T, contextTokens: 0", "contextTokens"), ("T, outputTokensMax: lots", "outputTokensMax"),
    ])
    func aWrongModelIsRefusedWithItsPlace(text: String, field: String) {
        let target = "targets: [{provider: main, model: m-2024-08-06}]"
        let members = text.hasPrefix("T, ") ? target + text.dropFirst() : text
        let problem = #expect(throws: Problem.self) {
            try settings(Self.providers + "models: {m: {\(members)}}")
        }
        #expect(problem?.field == "models/m/" + field)
        #expect(problem?.detail.isEmpty == false)
    }

    @Test(arguments: [
        ("[]", ""), ("5", ""), ("modles: {}", "modles"), ("models: []", "models"), ("models: {m: 5}", "models/m"),
        ("models: {'': {}}", "models/"), ("models: {'a b': {}}", "models/a b"), ("models: {cheap: {}}", "models/cheap"),
        ("providers: {p: []}", "providers/p"), ("allowFloating: true", "allowFloating"),
        ("loops: {turns: 0}", "loops/turns"), ("loops: {sameCalls: 65}", "loops/sameCalls"),
        ("loops: {pause: 3}", "loops/pause"), ("loops: 5", "loops"), ("models: {'tier:x': {}}", "models/tier:x"),
        ("taskTypes: []", "taskTypes"), ("taskTypes: {draft: small}", "taskTypes/draft"),
        ("taskTypes: {draft: {}}", "taskTypes/draft"), ("taskTypes: {draft: {tier: dear}}", "taskTypes/draft/tier"),
        ("taskTypes: {draft: {model: none}}", "taskTypes/draft"), ("taskTypes: {a/b: {tier: cheap}}", "taskTypes/a/b"),
        ("taskTypes: {draft: {tier: cheap}}", "taskTypes/draft"),
        ("taskTypes: {draft: {size: 1}}", "taskTypes/draft/size"),
        ("allowFloating: [5]", "allowFloating/0"), ("allowFloating: [a, '']", "allowFloating/1"),
    ])
    func aWrongSectionIsRefusedWithItsPlace(yaml: String, field: String) {
        let problem = #expect(throws: Problem.self) { try settings(yaml) }
        #expect(problem?.field == field)
    }

    @Test func loopsHaveDefaultsAndMayBeOff() throws {
        #expect(try settings("{}").loops == LoopGuard.Rules())
        #expect(try settings("loops: false").loops == nil)
        let rules = try #require(try settings("loops: {sameCalls: 3, sameReplies: false, turns: 9}").loops)
        #expect(rules.sameCalls == 3 && rules.sameReplies == nil && rules.turns == 9)
        #expect(rules.window == .minutes(10) && rules.hold == .minutes(5))
    }

    @Test func typesOfTasksAskForModelsAndTiers() throws {
        let settings = try settings(
            Self.providers + """
                models: {m: {tier: cheap, targets: [{provider: main, model: m-2024-08-06}]}}
                taskTypes: {draft: {tier: cheap}, final: {model: m}, plain: {model: cheap}}
                """)
        #expect(settings.taskTypes == ["draft": "tier:cheap", "final": "m", "plain": "tier:cheap"])
        #expect(settings.has("m") && settings.has("tier:cheap") && !settings.has("x") && !settings.has("tier:premium"))
        #expect(GatewaySettings().has("whatever"), "without models nothing is known of any")
        #expect(GatewayLimits.taskTypes == 1_000)
        let many = (0...GatewayLimits.taskTypes).map { "t\($0): {tier: cheap}" }.joined(separator: ", ")
        #expect(throws: Problem.self) { try self.settings("taskTypes: {\(many)}") }
    }

    @Test(arguments: ["m", "cheap", "tier:cheap"])
    func aTierHasTwoNames(_ asked: String) throws {
        let settings = try settings(
            Self.providers + "models: {m: {tier: cheap, targets: [{provider: main, model: m-2024-08-06}]}}")
        #expect(settings.resolve(asked)?.name == "m")
        for other in ["tier:m", "tier:", "tier:premium", "premium"] { #expect(settings.resolve(other) == nil) }
    }

    @Test func aNameMayNotStandTwice() {
        var providers = JSONObject()
        providers.append("p", ["kind": "scripted"])
        providers.append("p", ["kind": "openai"])
        let problem = #expect(throws: Problem.self) { try GatewaySettings(["providers": .object(providers)]) }
        #expect(problem?.field == "providers/p")
    }

    @Test func sectionsHaveAnEnd() throws {
        func providers(_ count: Int) -> JSONValue {
            ["providers": .object(JSONObject((0..<count).map { .init(name: "p\($0)", value: ["kind": "scripted"]) }))]
        }
        #expect(try GatewaySettings(providers(200)).providers.count == 200)
        #expect(throws: Problem.self) { try GatewaySettings(providers(201)) }
        func models(_ count: Int) -> JSONValue {
            let model: JSONValue = ["targets": [["provider": "p", "model": "m-2024-08-06"]]]
            return [
                "providers": ["p": ["kind": "scripted"]],
                "models": .object(JSONObject((0..<count).map { .init(name: "m\($0)", value: model) })),
            ]
        }
        #expect(try GatewaySettings(models(2_000)).models.count == 2_000)
        #expect(throws: Problem.self) { try GatewaySettings(models(2_001)) }
        func targets(_ count: Int) -> JSONValue {
            let list = (0..<count).map { number -> JSONValue in
                ["provider": "p", "model": .string("m\(number)-2024-08-06")]
            }
            return ["providers": ["p": ["kind": "scripted"]], "models": ["m": ["targets": .array(list)]]]
        }
        #expect(try GatewaySettings(targets(16)).models.count == 1)
        #expect(throws: Problem.self) { try GatewaySettings(targets(17)) }
        func floating(_ count: Int) -> JSONValue { ["allowFloating": .array(Array(repeating: "m", count: count))] }
        #expect(try GatewaySettings(floating(1_000)).models.isEmpty)
        #expect(throws: Problem.self) { try GatewaySettings(floating(1_001)) }
        let name = String(repeating: "n", count: 201)
        #expect(throws: Problem.self) { try GatewaySettings(["providers": [name: ["kind": "scripted"]]]) }
    }
}
