module reference

go 1.26

require (
	github.com/xmidt-org/wrp-go/v5 v5.4.5
	github.com/xmidt-org/wrpssp/v2 v2.2.24
)
